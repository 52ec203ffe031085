// theme.js: the chosen colours, before anything is painted. A script of its own, not a module, since modules run after the first paint.

try {
  const theme = localStorage.getItem('hearth-theme');
  if (theme === 'light' || theme === 'dark') document.documentElement.dataset.theme = theme;
} catch {
  // Storage is switched off: the system's colours do.
}
