// Pictures: a drawing with title, source and legend, as SVG or PNG.

import { h, s } from "./dom.js";
import { t } from "./words.js";
import { facts } from "./data.js";

const KEPT = ["fill", "fill-opacity", "stroke", "stroke-width", "stroke-dasharray", "stroke-linejoin", "stroke-linecap", "opacity", "font-size",
  "font-weight", "font-family", "text-anchor", "vector-effect", "paint-order"];

/** Copy a drawing with the colours that the page's style gives it. */
function styledCopy(source) {
  const copy = source.cloneNode(true);
  const from = [source, ...source.querySelectorAll("*")], to = [copy, ...copy.querySelectorAll("*")];
  from.forEach((node, i) => {
    const style = getComputedStyle(node);
    for (const name of KEPT) {
      // A pattern's address is made absolute by the browser; in the file it is that of the file itself.
      const value = style.getPropertyValue(name).replace(/url\("[^"#]*#([^"]+)"\)/, "url(#$1)");
      if (value) to[i].setAttribute(name, value);
    }
    for (const name of ["class", "data-geo", "tabindex", "role"]) to[i].removeAttribute(name);
  });
  return copy;
}

/** Put drawings and texts below each other in one SVG. */
export function picture(title, drawing, legend, source) {
  const box = drawing.getBoundingClientRect(), width = Math.max(640, Math.round(box.width)),
    height = Math.round((box.height * width) / box.width);
  const ink = getComputedStyle(document.body).color, paper = getComputedStyle(document.documentElement).getPropertyValue("--paper").trim();
  const copy = styledCopy(drawing);
  copy.setAttribute("x", 0);
  copy.setAttribute("y", 44);
  copy.setAttribute("width", width);
  copy.setAttribute("height", height);
  const parts = [], line = 20;
  let x = 12, y = height + 64;
  for (const entry of legend ? legend.children : []) {
    const text = entry.textContent, need = 44 + text.length * 7;
    if (x + need > width) [x, y] = [12, y + line];
    const icon = entry.querySelector("svg");
    if (icon) {
      const shape = styledCopy(icon), size = icon.getBoundingClientRect();
      for (const [key, value] of [["x", x], ["y", y - size.height + 3], ["width", size.width], ["height",
        size.height]]) shape.setAttribute(key, value);
      parts.push(shape);
    }
    parts.push(s("text", { x: x + (icon ? icon.getBoundingClientRect().width + 6 : 0), y, fill: ink, "font-size": 12 }, text));
    x += need;
  }
  const total = y + 34;
  return s("svg", { xmlns: "http://www.w3.org/2000/svg", width, height: total, viewBox: `0 0 ${width} ${total}`,
    "font-family": "sans-serif" },
    s("rect", { width, height: total, fill: paper }), s("text", { x: 12, y: 28, fill: ink, "font-size": 16, "font-weight": 600 }, title),
      copy, parts,
    s("text", { x: 12, y: total - 10, fill: ink, "font-size": 11 }, source));
}

function save(name, address) {
  const link = h("a", { href: address, download: name });
  document.body.append(link);
  link.click();
  link.remove();
}

/** Save a picture as SVG or PNG; the PNG has twice the size. */
export async function savePicture(svg, name, kind) {
  const text = new XMLSerializer().serializeToString(svg), address = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(text)}`;
  if (kind === "svg") return save(`${name}.svg`, address);
  const image = new Image();
  image.src = address;
  await image.decode();
  const canvas = h("canvas", { width: svg.getAttribute("width") * 2, height: svg.getAttribute("height") * 2 });
  canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
  return save(`${name}.png`, canvas.toDataURL("image/png"));
}

/** A file name that says what is in it. */
export const fileName = (...parts) => parts.join(" ").toLowerCase().normalize("NFD").replace(/[^a-z0-9]+/g, "-").replace(/^-|-$/g,
  "").slice(0, 80);

export const sourceLine = () => t("Source: {source}. Experimental statistics.", { source: facts.source });
