// Draws each figure's table with the chart library that the admin ships: bars in the house's colours, which follow the
// theme. Without it the numbers are still there.
(() => {
  const drawn = [];
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
  const number = (cell) => Number(cell.textContent.replaceAll(",", ""));

  function read(figure) {
    const rows = [...figure.querySelectorAll("tbody tr")];
    const heads = [...figure.querySelectorAll("thead th[data-tone]")];
    return {
      labels: rows.map((row) => row.querySelector("th").textContent),
      datasets: heads.map((head, at) => ({
        label: head.textContent,
        tone: head.dataset.tone,
        backgroundColor: colour(head.dataset.tone),
        data: rows.map((row) => number(row.querySelectorAll("td")[at])),
        maxBarThickness: 22,
        borderRadius: 3,
      })),
    };
  }

  function options(figure, data) {
    const axis = (isValue) => ({ stacked: true, beginAtZero: true, title: { display: isValue, text: figure.dataset.unit }, grid: { display: isValue }, border: { display: false }, ticks: { maxRotation: 0, ...(isValue && { maxTicksLimit: 5, precision: 0 }) } });
    const lies = "lies" in figure.dataset;
    return {
      animation: false,
      responsive: true,
      maintainAspectRatio: false,
      indexAxis: lies ? "y" : "x",
      scales: { x: axis(lies), y: axis(!lies) },
      plugins: {
        legend: { display: data.datasets.length > 1, align: "start", labels: { boxWidth: 10, boxHeight: 10 } },
        tooltip: { callbacks: { label: (at) => `${at.dataset.label}: ${at.formattedValue} ${figure.dataset.unit}` } },
      },
    };
  }

  function paint(chart) {
    for (const set of chart.data.datasets) set.backgroundColor = colour(set.tone);
    for (const scale of Object.values(chart.options.scales)) {
      scale.ticks.color = scale.title.color = colour("soft");
      scale.grid.color = colour("line");
    }
    chart.options.plugins.legend.labels.color = colour("ink");
    chart.update();
  }

  function draw(figure) {
    const data = read(figure);
    const chart = new Chart(figure.querySelector("canvas"), { type: "bar", data, options: options(figure, data) });
    drawn.push(chart);
    paint(chart);
  }

  document.addEventListener("DOMContentLoaded", () => {
    Chart.defaults.font.family = "Inter, system-ui, sans-serif";
    for (const figure of document.querySelectorAll(".chart-box:has(canvas)")) draw(figure);
    new MutationObserver(() => drawn.forEach(paint)).observe(document.documentElement, { attributeFilter: ["class"] });
  });
})();
