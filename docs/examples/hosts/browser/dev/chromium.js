/** Runs this example in headless Chromium, which is the system's. */
import { env } from "node:process";
import { chromium } from "playwright-core";
import { serve } from "./server.js";

const EXECUTABLE = env.CHROMIUM ?? "/usr/bin/chromium";

/** Give a page of this example to a function. The folders are served at their names. */
export async function inChromium(folders, use) {
  const server = await serve(folders);
  try {
    const browser = await chromium.launch({ executablePath: EXECUTABLE });
    try {
      const page = await browser.newPage();
      page.on("pageerror", (failure) => console.error(`chromium: ${failure.message}`));
      return await use(page, server.origin);
    } finally {
      await browser.close();
    }
  } finally {
    server.close();
  }
}

/** Call a function that a module of this example exports, in Chromium. */
export async function callInChromium(folders, module, name, options) {
  return inChromium(folders, async (page, origin) => {
    await page.goto(origin);
    const run = async ([path, each, given]) => (await import(path))[each](given);
    return page.evaluate(run, [`/${module}`, name, options]);
  });
}
