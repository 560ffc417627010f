"use strict";
// Draws the charts of the page. The axis that may be logarithmic, and what else a chart can show, come with its data.
(() => {
  const PRINTED = 680; // pixels of CSS in the text width of an A4 page
  const PRINTED_HEIGHT = 900; // of a chart and its title on one page
  const NARROW = 560; // below it names beside points would hide one another
  const fonts = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Liberation Sans', sans-serif";
  const options = { responsive: true, displayModeBar: false };

  // Text of an axis in several lines, for a narrow chart.
  const broken = (text) => (typeof text === "string" ? text.replace(/(, |.{11,}?[ -])(?=.{4})/g, "$1<br>") : text);
  // A trace for a narrow chart: no names beside points, and long names of an axis in several lines.
  const slim = (one) => {
    const found = { ...one, mode: one.mode === "markers+text" ? "markers" : one.mode };
    if (one.type === "box") found.name = broken(one.name);
    else if (Array.isArray(one.y)) found.y = one.y.map(broken);
    return found;
  };

  class Chart {
    constructor(place) {
      this.place = place;
      this.content = JSON.parse(document.querySelector(`script[data-chart="${place.id}"]`).textContent);
      this.select = document.querySelector(`select[data-chart="${place.id}"]`);
      this.box = document.querySelector(`input[data-chart="${place.id}"]`);
      if (this.select) this.select.addEventListener("change", () => this.draw());
      if (this.box) this.box.addEventListener("change", () => this.draw(this.box.checked ? "log" : "linear"));
      this.draw();
    }
    figure() {
      return this.select ? this.content.choices[this.select.value] : Object.values(this.content.choices)[0];
    }
    draw(scale, width) {
      const { data, layout, values, ticks } = this.figure();
      const narrow = (width || this.place.clientWidth) < NARROW;
      const axis = (values || this.content.switched || "x") + "axis";
      const shape = { ...layout[axis] };
      const possible = data.every((one) => (one[axis[0]] || []).every((value) => value === null || value > 0));
      if (this.box) {
        if (scale && possible) shape.type = scale;
        this.box.disabled = !possible;
        this.box.checked = shape.type === "log";
      }
      if (ticks && shape.type === "log") Object.assign(shape, ticks);
      const legend = { orientation: "h", x: 0, xanchor: "left", y: 1.02, yanchor: "bottom", ...layout.legend };
      const whole = {
        height: 440, font: { family: fonts, size: narrow ? 11 : 13, color: "#000" }, hoverlabel: { align: "left" },
        dragmode: narrow ? false : "zoom",
        margin: { l: 10, r: 14, t: 12, b: 10 }, plot_bgcolor: "#fff", ...layout, legend, [axis]: shape,
      };
      for (const name of ["xaxis", "yaxis"]) whole[name] = { gridcolor: "#e4e4e4", zeroline: false, linecolor: "#767676", ...whole[name] };
      if (width) whole.width = width;
      else whole.autosize = true;
      if (narrow && whole.showlegend) whole.height += 13 * data.length;
      if (narrow && !shape.tickvals) whole.xaxis.nticks = 4;
      whole.xaxis.tickangle = 0;
      const names = whole.yaxis.categoryarray;
      if (narrow && names) {
        whole.yaxis = { ...whole.yaxis, categoryarray: names.map(broken) };
        whole.height += 16 * names.length;
      }
      if (width) whole.height = Math.min(Math.round(0.8 * whole.height), PRINTED_HEIGHT);
      const drawn = data.map((one) => (narrow ? slim(one) : { ...one }));
      Plotly.react(this.place, drawn, whole, options);
    }
    print() {
      this.draw(this.box && !this.box.disabled ? (this.box.checked ? "log" : "linear") : undefined, PRINTED);
    }
  }
  const charts = [...document.querySelectorAll(".chart")].map((place) => new Chart(place));
  addEventListener("beforeprint", () => charts.forEach((chart) => chart.print()));
  addEventListener("afterprint", () => charts.forEach((chart) => chart.draw(chart.box && chart.box.checked ? "log" : undefined)));
})();
