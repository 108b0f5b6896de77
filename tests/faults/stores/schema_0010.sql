BEGIN TRANSACTION;
CREATE TABLE "costs" (
	id INTEGER NOT NULL, 
	channels INTEGER NOT NULL, 
	image_size INTEGER NOT NULL, 
	classes INTEGER NOT NULL, 
	threads INTEGER NOT NULL, 
	processor TEXT NOT NULL, 
	device TEXT NOT NULL, 
	runtime TEXT NOT NULL, 
	student TEXT NOT NULL, 
	pruning TEXT NOT NULL, 
	quantization TEXT NOT NULL, 
	measured_at DATETIME NOT NULL, 
	cost JSON NOT NULL, 
	CONSTRAINT pk_costs PRIMARY KEY (id), 
	CONSTRAINT uq_costs_setting_shape UNIQUE (processor, runtime, device, threads, channels, image_size, classes, student, pruning, quantization)
);
INSERT INTO "costs" VALUES(1,1,8,10,1,'x','cpu','onnxruntime 1','{}','{}','{}','2026-01-02 03:04:06.000000','{"size_bytes": 400, "parameters": 100, "macs": 200, "latency_ms": 1.5, "latency_p95_ms": 1.75}');
INSERT INTO "costs" VALUES(2,1,8,10,1,'x','cpu','onnxruntime 1','{}','{"u":1}','{}','2026-01-02 03:04:06.000000','{"size_bytes": 300, "parameters": 90, "macs": 190}');
CREATE TABLE epochs (
	trial_id INTEGER NOT NULL, 
	position INTEGER NOT NULL, 
	stage TEXT NOT NULL, 
	epoch INTEGER NOT NULL, 
	loss DOUBLE NOT NULL, 
	score DOUBLE NOT NULL, 
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
INSERT INTO "retort_schema" VALUES('0010');
CREATE TABLE stages (
	trial_id INTEGER NOT NULL, 
	position INTEGER NOT NULL, 
	name TEXT NOT NULL, 
	seconds DOUBLE NOT NULL, 
	score DOUBLE, 
	reused BOOLEAN DEFAULT 0 NOT NULL, no_op TEXT, cost JSON DEFAULT '{}' NOT NULL, 
	CONSTRAINT pk_stages PRIMARY KEY (trial_id, position), 
	CONSTRAINT fk_stages_trial_id FOREIGN KEY(trial_id) REFERENCES trials (id) ON DELETE CASCADE
);
INSERT INTO "stages" VALUES(1,0,'admit',0.5,NULL,0,NULL,'{}');
INSERT INTO "stages" VALUES(1,1,'distil',1.0,0.75,0,NULL,'{"parameters": 100, "macs": 200, "size_bytes": 400, "latency_ms": 1.5}');
INSERT INTO "stages" VALUES(1,2,'quantize',0.25,0.5,1,'it is no faster','{"size_bytes": 200, "latency_ms": 1.0}');
CREATE TABLE studies (
	id INTEGER NOT NULL, 
	name TEXT NOT NULL, 
	state TEXT NOT NULL, 
	config JSON NOT NULL, 
	artifacts TEXT NOT NULL, 
	created_at DATETIME NOT NULL, 
	changed_at DATETIME NOT NULL, data_digest TEXT, elapsed_s DOUBLE DEFAULT '0' NOT NULL, identity TEXT DEFAULT '' NOT NULL, claim TEXT, claim_before TEXT, activity TEXT, failure TEXT, finals_s DOUBLE DEFAULT '0' NOT NULL, views INTEGER, final_views INTEGER, 
	CONSTRAINT pk_studies PRIMARY KEY (id), 
	CONSTRAINT ck_studies_state_is_known CHECK (state IN ('running', 'finished', 'interrupted', 'failed')), 
	CONSTRAINT uq_studies_name UNIQUE (name)
);
INSERT INTO "studies" VALUES(1,'digits','finished','{"study": "digits", "seed": 3, "data": {"source": "digits"}, "teacher": {"model": "resnet18", "train": {}}, "space": {"student": {"timm": {"model": ["test_resnet"]}}}, "budget": {"size": 300, "latency": "2.0ms"}}','/tmp/digits','2026-01-02 03:04:05.000000','2026-01-02 03:04:06.000000',NULL,0.0,'0123456789abcdef0123456789abcdef','2320d9c130584cac87f56071441124bb',NULL,NULL,'the disk was full',0.0,NULL,NULL);
CREATE TABLE "teachers" (
	study_id INTEGER NOT NULL, 
	name TEXT NOT NULL, 
	digest TEXT NOT NULL, 
	quality JSON NOT NULL, 
	test JSON, 
	cost JSON NOT NULL, 
	CONSTRAINT pk_teachers PRIMARY KEY (study_id), 
	CONSTRAINT fk_teachers_study_id FOREIGN KEY(study_id) REFERENCES studies (id) ON DELETE CASCADE
);
INSERT INTO "teachers" VALUES(1,'resnet18','ab','{"accuracy": {"value": 0.9, "error": null}}','{"accuracy": {"value": 0.875, "error": null}}','{"size_bytes": 4000, "parameters": 1000, "macs": 2000, "latency_ms": 3.0, "latency_p95_ms": 3.5}');
CREATE TABLE "trials" (
	id INTEGER NOT NULL, 
	study_id INTEGER NOT NULL, 
	number INTEGER NOT NULL, 
	state TEXT NOT NULL, 
	params JSON NOT NULL, 
	seed BIGINT NOT NULL, 
	started_at DATETIME NOT NULL, 
	finished_at DATETIME, 
	duration_s DOUBLE, 
	reason TEXT, 
	violations JSON NOT NULL, 
	hardware JSON NOT NULL, 
	artifact_path TEXT, 
	artifact_sha256 TEXT, 
	failure_kind TEXT, 
	failure_message TEXT, 
	failure_traceback TEXT, 
	parent INTEGER, 
	no_op TEXT, 
	"key" TEXT, 
	attempts INTEGER DEFAULT '1' NOT NULL, 
	quality JSON, 
	test JSON, 
	cost JSON, kind TEXT DEFAULT 'search' NOT NULL, repeats INTEGER, 
	CONSTRAINT pk_trials PRIMARY KEY (id), 
	CONSTRAINT ck_trials_state_is_known CHECK (state IN ('running', 'complete', 'infeasible', 'stopped', 'failed', 'interrupted')), 
	CONSTRAINT ck_trials_number_is_not_negative CHECK (number >= 0), 
	CONSTRAINT uq_trials_study_id_number UNIQUE (study_id, number), 
	CONSTRAINT ck_trials_ends_once CHECK ((state = 'running') = (finished_at IS NULL)), 
	CONSTRAINT ck_trials_duration_s_is_not_negative CHECK (duration_s >= 0), 
	CONSTRAINT fk_trials_study_id FOREIGN KEY(study_id) REFERENCES studies (id) ON DELETE CASCADE, 
	CONSTRAINT ck_trials_complete_is_measured CHECK (state <> 'complete' OR (quality IS NOT NULL AND cost IS NOT NULL))
);
INSERT INTO "trials" VALUES(1,1,0,'complete','{"student": "timm"}',0,'2026-01-02 03:04:05.000000','2026-01-02 03:04:06.000000',2.0,NULL,'{"size_bytes": -0.3333333333333333, "latency_ms": -0.5}','{"processor": "x", "threads": 1}','0','cd',NULL,NULL,NULL,NULL,NULL,NULL,1,'{"accuracy": {"value": 0.5, "error": null}, "agreement": {"value": 0.625, "error": null}}','{"accuracy": {"value": 0.4375, "error": null}, "agreement": {"value": 0.5625, "error": null}}','{"size_bytes": 200, "parameters": 50, "macs": 100, "latency_ms": 1.0, "latency_p95_ms": 1.25}','search',NULL);
INSERT INTO "trials" VALUES(2,1,1,'infeasible','{"student": "timm", "pruning": "magnitude"}',0,'2026-01-02 03:04:05.000000','2026-01-02 03:04:06.000000',0.0,'size','{"size_bytes": 0.3333333333333333}','{}',NULL,NULL,NULL,NULL,NULL,0,NULL,NULL,1,'{"accuracy": {"value": 0.75, "error": null}, "agreement": {"value": 0.5, "error": null}}',NULL,'{"size_bytes": 400, "parameters": 100, "macs": 200, "latency_ms": 1.5, "latency_p95_ms": 1.75}','search',NULL);
INSERT INTO "trials" VALUES(3,1,2,'infeasible','{"student": "timm", "pruning": "none"}',0,'2026-01-02 03:04:05.000000','2026-01-02 03:04:06.000000',0.0,'size','{"size_bytes": 2.0}','{}',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,1,NULL,NULL,'{"size_bytes": 900, "parameters": 300, "macs": 400}','search',NULL);
CREATE UNIQUE INDEX ix_trials_study_id_key ON trials (study_id, "key");
CREATE INDEX ix_trials_study_id_state ON trials (study_id, state);
COMMIT;
