BEGIN TRANSACTION;
CREATE TABLE costs (
	id INTEGER NOT NULL, 
	channels INTEGER NOT NULL, 
	image_size INTEGER NOT NULL, 
	classes INTEGER NOT NULL, 
	processor TEXT NOT NULL, 
	device TEXT NOT NULL, 
	threads INTEGER NOT NULL, 
	runtime TEXT NOT NULL, 
	student TEXT NOT NULL, 
	pruning TEXT NOT NULL, 
	quantization TEXT NOT NULL, 
	size_bytes BIGINT NOT NULL, 
	parameters BIGINT NOT NULL, 
	macs BIGINT NOT NULL, 
	latency_ms DOUBLE, 
	latency_p95_ms DOUBLE, 
	measured_at DATETIME NOT NULL, 
	CONSTRAINT pk_costs PRIMARY KEY (id), 
	CONSTRAINT ck_costs_size_bytes_is_not_negative CHECK (size_bytes >= 0), 
	CONSTRAINT ck_costs_parameters_is_not_negative CHECK (parameters >= 0), 
	CONSTRAINT ck_costs_macs_is_not_negative CHECK (macs >= 0), 
	CONSTRAINT ck_costs_latency_ms_is_not_negative CHECK (latency_ms >= 0), 
	CONSTRAINT ck_costs_latency_p95_ms_is_not_negative CHECK (latency_p95_ms >= 0), 
	CONSTRAINT uq_costs_setting_shape UNIQUE (processor, runtime, device, threads, channels, image_size, classes, student, pruning, quantization)
);
INSERT INTO "costs" VALUES(1,1,8,10,'x','cpu',1,'onnxruntime 1','{}','{}','{}',400,100,200,1.5,1.75,'2026-01-02 03:04:06.000000');
INSERT INTO "costs" VALUES(2,1,8,10,'x','cpu',1,'onnxruntime 1','{}','{"u":1}','{}',300,90,190,NULL,NULL,'2026-01-02 03:04:06.000000');
CREATE TABLE epochs (
	trial_id INTEGER NOT NULL, 
	position INTEGER NOT NULL, 
	stage TEXT NOT NULL, 
	epoch INTEGER NOT NULL, 
	loss DOUBLE NOT NULL, 
	accuracy DOUBLE NOT NULL, 
	learning_rate DOUBLE NOT NULL, 
	CONSTRAINT pk_epochs PRIMARY KEY (trial_id, position), 
	CONSTRAINT fk_epochs_trial_id FOREIGN KEY(trial_id) REFERENCES trials (id) ON DELETE CASCADE
);
INSERT INTO "epochs" VALUES(1,0,'distil',0,1.0,0.5,0.01);
INSERT INTO "epochs" VALUES(1,1,'distil',1,0.5,0.75,0.005);
CREATE TABLE holds (
	study_id INTEGER NOT NULL, 
	token TEXT NOT NULL, 
	host TEXT NOT NULL, 
	machine TEXT NOT NULL, 
	pid BIGINT NOT NULL, 
	process_start TEXT NOT NULL, 
	since DATETIME NOT NULL, 
	beats BIGINT NOT NULL, 
	stopping BOOLEAN NOT NULL, 
	CONSTRAINT pk_holds PRIMARY KEY (study_id), 
	CONSTRAINT fk_holds_study_id FOREIGN KEY(study_id) REFERENCES studies (id) ON DELETE CASCADE
);
CREATE TABLE retort_schema (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT retort_schema_pkc PRIMARY KEY (version_num)
);
INSERT INTO "retort_schema" VALUES('0007');
CREATE TABLE stages (
	trial_id INTEGER NOT NULL, 
	position INTEGER NOT NULL, 
	name TEXT NOT NULL, 
	seconds DOUBLE NOT NULL, 
	accuracy DOUBLE, 
	parameters BIGINT, 
	macs BIGINT, 
	size_bytes BIGINT, reused BOOLEAN DEFAULT 0 NOT NULL, latency_ms DOUBLE, no_op TEXT, 
	CONSTRAINT pk_stages PRIMARY KEY (trial_id, position), 
	CONSTRAINT fk_stages_trial_id FOREIGN KEY(trial_id) REFERENCES trials (id) ON DELETE CASCADE
);
INSERT INTO "stages" VALUES(1,0,'admit',0.5,NULL,NULL,NULL,NULL,0,NULL,NULL);
INSERT INTO "stages" VALUES(1,1,'distil',1.0,0.75,100,200,400,0,1.5,NULL);
INSERT INTO "stages" VALUES(1,2,'quantize',0.25,0.5,NULL,NULL,200,1,1.0,'it is no faster');
CREATE TABLE studies (
	id INTEGER NOT NULL, 
	name TEXT NOT NULL, 
	state TEXT NOT NULL, 
	config JSON NOT NULL, 
	artifacts TEXT NOT NULL, 
	created_at DATETIME NOT NULL, 
	changed_at DATETIME NOT NULL, data_digest TEXT, elapsed_s DOUBLE DEFAULT '0' NOT NULL, identity TEXT DEFAULT '' NOT NULL, claim TEXT, claim_before TEXT, 
	CONSTRAINT pk_studies PRIMARY KEY (id), 
	CONSTRAINT ck_studies_state_is_known CHECK (state IN ('running', 'finished', 'interrupted', 'failed')), 
	CONSTRAINT uq_studies_name UNIQUE (name)
);
INSERT INTO "studies" VALUES(1,'digits','finished','{"study": "digits", "seed": 3, "data": {"source": "digits"}, "teacher": {"model": "resnet18", "train": {}}, "space": {"student": {"timm": {"model": ["test_resnet"]}}}, "budget": {"size": 300, "latency": "2.0ms"}}','/tmp/digits','2026-01-02 03:04:05.000000','2026-01-02 03:04:06.000000',NULL,0.0,'0123456789abcdef0123456789abcdef','2320d9c130584cac87f56071441124bb',NULL);
CREATE TABLE teachers (
	study_id INTEGER NOT NULL, 
	name TEXT NOT NULL, 
	digest TEXT NOT NULL, 
	accuracy DOUBLE NOT NULL, 
	test_accuracy DOUBLE, 
	size_bytes BIGINT NOT NULL, 
	parameters BIGINT NOT NULL, 
	macs BIGINT NOT NULL, 
	latency_ms DOUBLE, 
	latency_p95_ms DOUBLE, 
	CONSTRAINT pk_teachers PRIMARY KEY (study_id), 
	CONSTRAINT ck_teachers_accuracy_is_a_share CHECK (accuracy >= 0 AND accuracy <= 1), 
	CONSTRAINT ck_teachers_latency_ms_is_not_negative CHECK (latency_ms >= 0), 
	CONSTRAINT ck_teachers_size_bytes_is_not_negative CHECK (size_bytes >= 0), 
	CONSTRAINT ck_teachers_test_accuracy_is_a_share CHECK (test_accuracy >= 0 AND test_accuracy <= 1), 
	CONSTRAINT fk_teachers_study_id FOREIGN KEY(study_id) REFERENCES studies (id) ON DELETE CASCADE
);
INSERT INTO "teachers" VALUES(1,'resnet18','ab',0.9,0.875,4000,1000,2000,3.0,3.5);
CREATE TABLE trials (
	id INTEGER NOT NULL, 
	study_id INTEGER NOT NULL, 
	number INTEGER NOT NULL, 
	state TEXT NOT NULL, 
	params JSON NOT NULL, 
	seed BIGINT NOT NULL, 
	started_at DATETIME NOT NULL, 
	finished_at DATETIME, 
	duration_s DOUBLE, 
	accuracy DOUBLE, 
	agreement DOUBLE, 
	test_accuracy DOUBLE, 
	test_agreement DOUBLE, 
	size_bytes BIGINT, 
	parameters BIGINT, 
	macs BIGINT, 
	latency_ms DOUBLE, 
	latency_p95_ms DOUBLE, 
	reason TEXT, 
	violations JSON NOT NULL, 
	hardware JSON NOT NULL, 
	artifact_path TEXT, 
	artifact_sha256 TEXT, 
	failure_kind TEXT, 
	failure_message TEXT, 
	failure_traceback TEXT, parent INTEGER, no_op TEXT, "key" TEXT, attempts INTEGER DEFAULT '1' NOT NULL, 
	CONSTRAINT pk_trials PRIMARY KEY (id), 
	CONSTRAINT ck_trials_ends_once CHECK ((state = 'running') = (finished_at IS NULL)), 
	CONSTRAINT ck_trials_complete_is_measured CHECK (state <> 'complete' OR (accuracy IS NOT NULL AND agreement IS NOT NULL AND size_bytes IS NOT NULL AND parameters IS NOT NULL AND macs IS NOT NULL)), 
	CONSTRAINT ck_trials_state_is_known CHECK (state IN ('running', 'complete', 'infeasible', 'stopped', 'failed', 'interrupted')), 
	CONSTRAINT ck_trials_accuracy_is_a_share CHECK (accuracy >= 0 AND accuracy <= 1), 
	CONSTRAINT ck_trials_agreement_is_a_share CHECK (agreement >= 0 AND agreement <= 1), 
	CONSTRAINT ck_trials_duration_s_is_not_negative CHECK (duration_s >= 0), 
	CONSTRAINT ck_trials_latency_ms_is_not_negative CHECK (latency_ms >= 0), 
	CONSTRAINT ck_trials_latency_p95_ms_is_not_negative CHECK (latency_p95_ms >= 0), 
	CONSTRAINT ck_trials_macs_is_not_negative CHECK (macs >= 0), 
	CONSTRAINT ck_trials_number_is_not_negative CHECK (number >= 0), 
	CONSTRAINT ck_trials_parameters_is_not_negative CHECK (parameters >= 0), 
	CONSTRAINT ck_trials_size_bytes_is_not_negative CHECK (size_bytes >= 0), 
	CONSTRAINT ck_trials_test_accuracy_is_a_share CHECK (test_accuracy >= 0 AND test_accuracy <= 1), 
	CONSTRAINT ck_trials_test_agreement_is_a_share CHECK (test_agreement >= 0 AND test_agreement <= 1), 
	CONSTRAINT fk_trials_study_id FOREIGN KEY(study_id) REFERENCES studies (id) ON DELETE CASCADE, 
	CONSTRAINT uq_trials_study_id_number UNIQUE (study_id, number)
);
INSERT INTO "trials" VALUES(1,1,0,'complete','{"student": "timm"}',0,'2026-01-02 03:04:05.000000','2026-01-02 03:04:06.000000',2.0,0.5,0.625,0.4375,0.5625,200,50,100,1.0,1.25,NULL,'{"size_bytes": -0.3333333333333333, "latency_ms": -0.5}','{"processor": "x", "threads": 1}','0','cd',NULL,NULL,NULL,NULL,NULL,NULL,1);
INSERT INTO "trials" VALUES(2,1,1,'infeasible','{"student": "timm", "pruning": "magnitude"}',0,'2026-01-02 03:04:05.000000','2026-01-02 03:04:06.000000',0.0,0.75,0.5,NULL,NULL,400,100,200,1.5,1.75,'size','{"size_bytes": 0.3333333333333333}','{}',NULL,NULL,NULL,NULL,NULL,0,NULL,NULL,1);
INSERT INTO "trials" VALUES(3,1,2,'infeasible','{"student": "timm", "pruning": "none"}',0,'2026-01-02 03:04:05.000000','2026-01-02 03:04:06.000000',0.0,NULL,NULL,NULL,NULL,900,300,400,NULL,NULL,'size','{"size_bytes": 2.0}','{}',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,1);
CREATE INDEX ix_trials_study_id_state ON trials (study_id, state);
CREATE UNIQUE INDEX ix_trials_study_id_key ON trials (study_id, "key");
COMMIT;
