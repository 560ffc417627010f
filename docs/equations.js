// Renders what Markdown hands on as \(...\) and \[...\]. The theme loads pages without reloading this file.
document$.subscribe(({ body }) => {
  renderMathInElement(body, {
    delimiters: [
      { left: "\\(", right: "\\)", display: false },
      { left: "\\[", right: "\\]", display: true },
    ],
  });
});
