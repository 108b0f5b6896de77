// Adds the theme's colours to a figure just before it is drawn.
function themed(layout, style) {
  const colour = (name) => style.getPropertyValue(name).trim();
  const text = colour("--st-text-color") || "#333333";
  const grid = colour("--st-border-color-light") || "rgba(128, 128, 128, 0.2)";
  const line = colour("--st-border-color") || "rgba(128, 128, 128, 0.4)";
  const ground = colour("--st-background-color") || "#ffffff";
  const axis = { gridcolor: grid, linecolor: line, zerolinecolor: grid, tickcolor: line };
  const dressed = {
    ...layout,
    paper_bgcolor: "rgba(0, 0, 0, 0)",
    plot_bgcolor: "rgba(0, 0, 0, 0)",
    font: { color: text, family: colour("--st-font") || "sans-serif", size: 12, ...layout.font },
    hoverlabel: { bgcolor: ground, bordercolor: line, font: { color: text }, align: "left" },
    modebar: { bgcolor: "rgba(0, 0, 0, 0)", color: line, activecolor: text },
  };
  if (layout.annotations) {
    dressed.annotations = layout.annotations.map((note) =>
      note.name === "ground" ? { ...note, bgcolor: ground } : note,
    );
  }
  for (const name of Object.keys(layout)) {
    if (/^[xy]axis\d*$/.test(name)) dressed[name] = { ...axis, ...layout[name] };
  }
  return dressed;
}
