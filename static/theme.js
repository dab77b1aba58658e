// The theme that was chosen in the admin, set before anything is painted.
const chosen = JSON.parse(localStorage.getItem("adminTheme") ?? '"auto"');
const dark = chosen === "dark" || (chosen === "auto" && matchMedia("(prefers-color-scheme: dark)").matches);
document.documentElement.classList.toggle("dark", dark);
document.documentElement.classList.add("scripted");
