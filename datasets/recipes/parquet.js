// parquet.js OUT MODULES FILE COLUMNS - writes the columns of a Parquet file as OUT/rows.npy; see the recipe parquet.
"use strict";
const fs = require("fs"), path = require("path"), { pathToFileURL } = require("url");
const [out, modules, file, columns] = process.argv.slice(2);

const HEADER = 128; // bytes of the NPY header

function fail(message) {
    console.error(`${file}: ${message}`);
    process.exit(1);
}

// numpy's name, the bytes and the array of a column's element; undefined if it is no number.
function kind(element) {
    const logical = element.logical_type || {}, eight = logical.bitWidth === 8 || /INT_8$/.test(element.converted_type);
    const unsigned = logical.isSigned === false || /^UINT/.test(element.converted_type);
    if (element.converted_type && !/INT_/.test(element.converted_type) || logical.type && !/^(INTEGER|FLOAT16)$/.test(logical.type))
        return undefined; // a date, a decimal, a text
    if (element.type === "INT32" && eight)
        return unsigned ? ["|u1", Uint8Array] : ["|i1", Int8Array];
    if (logical.type === "FLOAT16")
        return ["<f4", Float32Array]; // every half is a float
    return { FLOAT: ["<f4", Float32Array], DOUBLE: ["<f8", Float64Array], INT32: ["<i4", Int32Array], INT64: ["<i8", BigInt64Array] }[element.type];
}

// The column's leaf if it has numbers or lists of numbers: { name, list, kind }.
function describe(node) {
    let leaf = node, list = false;
    while (leaf.children.length === 1) {
        list ||= leaf.element.repetition_type === "REPEATED" || leaf.children[0].element.repetition_type === "REPEATED";
        leaf = leaf.children[0];
    }
    list ||= leaf.element.repetition_type === "REPEATED";
    return { name: node.element.name, list, kind: leaf.children.length ? undefined : kind(leaf.element) };
}

function choose(all) {
    const known = all.map(c => c.name + (c.kind ? ` (${c.list ? "lists of " : ""}${c.kind[0].slice(1)})` : "")).join(", ");
    const found = columns ? columns.split(",").map(name => all.find(c => c.name === name) || fail(`there is no column "${name}"; it has: ${known}`))
        : all.filter(c => c.kind && c.list);
    if (!columns && found.length > 1)
        fail(`which column of lists? name one by --dataset: ${known}`);
    const chosen = found.length ? found : all.filter(c => c.kind);
    if (!chosen.length)
        fail(`it has no column of numbers: ${known}`);
    for (const c of chosen)
        if (!c.kind)
            fail(`column "${c.name}" has no numbers`);
        else if (chosen.length > 1 && (c.list || c.kind[0] !== chosen[0].kind[0]))
            fail(`several columns make rows if each has numbers of one type: ${known}`);
    return chosen;
}

function header(type, rows, dim) {
    const text = `{'descr': '${type}', 'fortran_order': False, 'shape': (${rows}, ${dim}), }`;
    const bytes = Buffer.alloc(HEADER, " ");
    bytes.write("\x93NUMPY\x01\x00", 0, "latin1");
    bytes.writeUInt16LE(HEADER - 10, 8);
    bytes.write(text, 10);
    bytes[HEADER - 1] = 10;
    return bytes;
}

// Appends the values of one row to `to` at `at`.
function take(to, at, value, name, row) {
    if (value === null || value === undefined)
        fail(`column "${name}", row ${row}: there is no value; expected a number in each row`);
    to[at] = to instanceof BigInt64Array ? BigInt(value) : Number(value);
}

async function main() {
    const load = name => import(pathToFileURL(path.join(modules, "node_modules", name, "src", name === "hyparquet" ? "node.js" : "index.js")));
    const { asyncBufferFromFile, parquetMetadataAsync, parquetSchema, parquetRead } = await load("hyparquet");
    const { compressors } = await load("hyparquet-compressors");
    const buffer = await asyncBufferFromFile(file);
    const metadata = await parquetMetadataAsync(buffer);
    const chosen = choose(parquetSchema(metadata).children.map(describe));
    const names = chosen.map(c => c.name), [type, Numbers] = chosen[0].kind, list = chosen[0].list;
    const rows = Number(metadata.num_rows), target = path.join(out, "rows.npy");
    const to = fs.openSync(target + ".new", "w");
    let dim = list ? 0 : names.length, done = 0;
    fs.writeSync(to, Buffer.alloc(HEADER));
    for (const group of metadata.row_groups) {
        const n = Number(group.num_rows);
        let block;
        await parquetRead({ file: buffer, metadata, columns: names, compressors, rowStart: done, rowEnd: done + n, rowFormat: "object",
            onComplete: read => {
                if (!dim && n)
                    dim = read[0][names[0]]?.length || fail(`column "${names[0]}", row ${done}: expected a list of numbers`);
                block = new Numbers(n * dim);
                read.forEach((row, i) => {
                    const values = list ? row[names[0]] : names.map(name => row[name]);
                    if (values?.length !== dim)
                        fail(`column "${names[0]}", row ${done + i}: ${values?.length ?? "no"} values; the rows before have ${dim}`);
                    for (let j = 0; j < dim; j++)
                        take(block, i * dim + j, values[j], list ? names[0] : names[j], done + i);
                });
            } });
        if (n)
            fs.writeSync(to, new Uint8Array(block.buffer));
        done += n;
        console.log(`read ${done} of ${rows} rows`);
    }
    if (!done)
        fail("it has no rows");
    fs.writeSync(to, header(type, done, dim), 0, HEADER, 0);
    fs.closeSync(to);
    fs.renameSync(target + ".new", target);
}

main().catch(error => fail(error.message));
