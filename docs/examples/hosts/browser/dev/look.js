/**
 * Looks at the page: `node look.js ARRAYS_DIR CODECS_DIR PICTURES_DIR NAME=ARRAY,CODECS ...`.
 *
 * ARRAY and CODECS are folders in ARRAYS_DIR and CODECS_DIR. Prints a line of JSON for each: what
 * the page says, how many colours its picture has, and what went wrong in it.
 */
import { join } from "node:path";
import process from "node:process";
import { inChromium } from "./chromium.js";

const [arrays, codecs, pictures, ...cases] = process.argv.slice(2);

function readPage() {
  const textOf = (selector) =>
    [...document.querySelectorAll(selector)].map((each) => each.innerText);
  const canvas = document.getElementById("picture");
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  return {
    title: document.getElementById("title").innerText,
    problems: textOf("#problems p"),
    times: textOf("#times tr"),
    codecs: textOf("#codecs tr"),
    ticks: textOf("#ticks li").map(Number),
    size: [canvas.width, canvas.height],
    box: (({ left, top, right, bottom }) => [left, top, right, bottom].map(Math.round))(
      canvas.getBoundingClientRect(),
    ),
    colours: new Set(new Uint32Array(data.buffer)).size,
    overflow: document.documentElement.scrollWidth - document.documentElement.clientWidth,
  };
}

await inChromium({ arrays, codecs }, async (page, origin) => {
  const errors = [];
  page.on("console", (message) => message.type() === "error" && errors.push(message.text()));
  page.on("pageerror", (failure) => errors.push(String(failure)));
  for (const [name, array, codec] of cases.map((each) => each.split(/[=,]/))) {
    errors.length = 0;
    for (const width of [480, 1120]) {
      await page.setViewportSize({ width, height: 760 });
      await page.goto(`${origin}/?array=/arrays/${array}&codecs=/codecs/${codec}`);
      await page.waitForSelector("body[data-done]");
      await page.screenshot({ path: join(pictures, `${name}-${width}.png`), fullPage: true });
    }
    console.log(JSON.stringify({ name, errors, ...(await page.evaluate(readPage)) }));
  }
});
