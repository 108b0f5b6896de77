// A figure that is redrawn in place, so that zoom, pan and marked points are kept.
let library;

function load() {
  library ??= new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = new URL("component/dashboard.panels.plot.plotly/plotly.min.js", document.baseURI);
    script.onload = () => resolve(window.Plotly);
    script.onerror = () => reject(new Error("the figures' library could not be loaded"));
    document.head.append(script);
  });
  return library;
}

const CONFIG = {
  displaylogo: false,
  responsive: true,
  modeBarButtonsToRemove: ["autoScale2d", "zoomIn2d", "zoomOut2d"],
};

// The trial that a point stands for; the teacher and lines stand for none.
const trialOf = (point) => (Array.isArray(point.customdata) ? point.customdata[0] : undefined);

function withMarks(traces, marked) {
  const wanted = new Set(marked);
  return traces.map((trace) => {
    if (!trace.customdata) return trace;
    const places = trace.customdata.flatMap((held, i) => (wanted.has(held?.[0]) ? [i] : []));
    return { ...trace, selectedpoints: wanted.size ? places : null };
  });
}

// The ranges that a layout gives its axes, by name.
function rangesOf(layout) {
  const axes = Object.entries(layout).filter(([name, axis]) => /^[xy]axis\d*$/.test(name) && axis.range);
  return Object.fromEntries(axes.map(([name, axis]) => [name, [...axis.range]]));
}

const isSame = (ranges, others) => JSON.stringify(ranges) === JSON.stringify(others);

// Whether a person has zoomed or panned away from the ranges that plotly was given.
const isMoved = ({ layout, given }) =>
  Object.entries(given ?? {}).some(([name, range]) => !isSame(layout[name]?.range, range));

// Plotly keeps a zoom as long as it is given the same ranges, and a double click resets to the
// first ranges. If the figure's ranges have changed, the plot is therefore made again, but only
// while it is not zoomed.
async function show(Plotly, place, traces, figureLayout, component) {
  const dragmode = place.layout?.dragmode ?? figureLayout.dragmode;
  const layout = { ...figureLayout, dragmode };
  const own = rangesOf(layout);
  if (isMoved(place)) {
    const kept = Object.entries(place.given).filter(([name]) => layout[name]);
    place.given = Object.fromEntries(kept);
    const axes = kept.map(([name, range]) => [name, { ...layout[name], range: [...range] }]);
    await Plotly.react(place, traces, { ...layout, ...Object.fromEntries(axes) }, CONFIG);
  } else {
    const draw = isSame(place.given, own) ? Plotly.react : Plotly.newPlot;
    place.given = own;
    await draw(place, traces, layout, CONFIG);
  }
  listen(place, component);
  place.removeAllListeners("plotly_relayout");
  place.on("plotly_relayout", () => {
    if (!isMoved(place) && !isSame(place.given, own)) {
      show(Plotly, place, traces, layout, component);
    }
  });
}

function listen(place, component) {
  place.removeAllListeners("plotly_click");
  place.removeAllListeners("plotly_selected");
  const mark = (numbers) => component.setTriggerValue("marked", [...new Set(numbers)]);
  place.on("plotly_click", ({ points, event }) => {
    const number = points.map(trialOf).find((found) => found !== undefined);
    if (number === undefined) return;
    const others = event.shiftKey || event.ctrlKey || event.metaKey ? component.data.marked : [];
    mark([...others, number]);
  });
  place.on("plotly_selected", (selection) => {
    const numbers = (selection?.points ?? []).map(trialOf);
    if (selection) mark(numbers.filter((number) => number !== undefined).slice(0, 200));
  });
}

export default async function draw(component) {
  const { data, parentElement } = component;
  const figure = JSON.parse(data.figure);
  let place = parentElement.querySelector(".retort-plot");
  if (!place) {
    place = document.createElement("div");
    place.className = "retort-plot";
    place.setAttribute("role", "img");
    parentElement.append(place);
  }
  place.setAttribute("aria-label", data.alt);
  place.style.minHeight = `${figure.layout.height}px`;
  place.style.minWidth = `${figure.layout.meta?.min_width ?? 0}px`;
  parentElement.style.overflowX = "auto";
  const Plotly = await load();
  const layout = themed(figure.layout, getComputedStyle(parentElement));
  await show(Plotly, place, withMarks(figure.data, data.marked), layout, component);
  return () => Plotly.purge(place);
}
