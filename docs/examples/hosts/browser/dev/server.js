/** Serves folders on the loopback interface: `node dev/server.js [NAME=FOLDER ...]`. */
import { createServer } from "node:http";
import { readFile } from "node:fs/promises";
import { extname, resolve, sep } from "node:path";
import { argv } from "node:process";
import { fileURLToPath, pathToFileURL } from "node:url";

export const HERE = fileURLToPath(new URL("..", import.meta.url));
const TYPES = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript",
  ".css": "text/css",
  ".json": "application/json",
  ".wasm": "application/wasm",
};

/** Serve this example at `/`, and each of the folders at `/<name>/`. */
export async function serve(folders, port = 0) {
  const server = createServer(async (request, response) => {
    const path = decodeURIComponent(new URL(request.url, "http://localhost").pathname).slice(1);
    const [name] = path.split("/");
    const [folder, rest] =
      name in folders ? [folders[name], path.slice(name.length + 1)] : [HERE, path];
    const file = resolve(folder, rest || "index.html");
    const data = file.startsWith(resolve(folder) + sep)
      ? await readFile(file).catch(() => null)
      : null;
    if (data === null) return response.writeHead(404).end();
    const [, first, last] = /^bytes=(\d*)-(\d*)$/.exec(request.headers.range ?? "") ?? [];
    const start =
      first === undefined ? 0 : first ? Number(first) : Math.max(0, data.length - Number(last));
    const end = first && last ? Math.min(Number(last) + 1, data.length) : data.length;
    const headers = {
      "Content-Type": TYPES[extname(file)] ?? "application/octet-stream",
      "Content-Length": end - start,
    };
    if (first !== undefined) headers["Content-Range"] = `bytes ${start}-${end - 1}/${data.length}`;
    response.writeHead(first === undefined ? 200 : 206, headers);
    return response.end(request.method === "HEAD" ? undefined : data.subarray(start, end));
  });
  await new Promise((done) => {
    server.listen(port, "127.0.0.1", done);
  });
  return {
    origin: `http://127.0.0.1:${server.address().port}`,
    close: () => {
      server.closeAllConnections();
      server.close();
    },
  };
}

if (import.meta.url === pathToFileURL(argv[1]).href) {
  const folders = Object.fromEntries(argv.slice(2).map((each) => each.split(/=(.*)/s)));
  console.log((await serve(folders, 8000)).origin);
}
