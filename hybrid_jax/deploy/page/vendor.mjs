// Copies the files of LiteRT.js for the page: node vendor.mjs NODE_MODULES TO
import fs from 'node:fs';
import path from 'node:path';
import zlib from 'node:zlib';

const [from, to] = process.argv.slice(2);
const core = path.join(from, '@litertjs/core');
fs.mkdirSync(to, { recursive: true });

// Browsers import modules by address, not by package name.
const name = '"@litertjs/wasm-utils"';
const parts = fs.readFileSync(path.join(core, 'dist/index.js'), 'utf8')
  .split(name);
if (parts.length !== 2) {
  throw new Error(`${parts.length - 1} imports of ${name}, not one`);
}
fs.writeFileSync(path.join(to, 'litert.js'), parts.join('"./wasm-utils.js"'));
fs.copyFileSync(
  path.join(from, '@litertjs/wasm-utils/dist/index.js'),
  path.join(to, 'wasm-utils.js'),
);

// The compat files are for browsers without relaxed SIMD. Compressed, they have
// a third of the size.
for (const kind of ['litert_wasm_internal', 'litert_wasm_compat_internal']) {
  for (const end of ['.js', '.wasm']) {
    const data = fs.readFileSync(path.join(core, 'wasm', kind + end));
    fs.writeFileSync(path.join(to, kind + end), data);
    fs.writeFileSync(
      path.join(to, `${kind + end}.gz`),
      zlib.gzipSync(data, { level: 9 }),
    );
  }
}
