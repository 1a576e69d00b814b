// page.js - the head of a column sorts its table's rows: by a click, Enter or the space bar; again the other way. A
// print has all details open. The point of a figure below the pointer is described; a button hides a series.
function key(row, column) {
    const cell = row.cells[column], value = cell.dataset.v;
    return value === undefined ? cell.textContent : +value;
}

function compare(x, y) {
    return typeof x === 'number' && typeof y === 'number' ? x - y : String(x).localeCompare(String(y));
}

function sort(head) {
    const body = head.closest('table').tBodies[0];
    const column = [...head.parentNode.children].indexOf(head);
    const up = head.ariaSort !== 'ascending';
    for (const other of head.parentNode.children)
        other.ariaSort = null;
    head.ariaSort = up ? 'ascending' : 'descending';
    [...body.rows]
        .sort((a, b) => (up ? 1 : -1) * compare(key(a, column), key(b, column)))
        .forEach(row => body.append(row));
}

for (const head of document.querySelectorAll('thead th')) {
    head.tabIndex = 0;
    head.addEventListener('click', () => sort(head));
    head.addEventListener('keydown', event => {
        if (event.key === 'Enter' || event.key === ' ') {
            event.preventDefault();
            sort(head);
        }
    });
}

// A figure is an image: an SVG with a text for each point, and a name for all that belongs to a series.
function read(image) {
    const bytes = Uint8Array.from(atob(image.src.split(',')[1]), character => character.charCodeAt(0));
    return new DOMParser().parseFromString(new TextDecoder().decode(bytes), 'image/svg+xml');
}

function point(mark) {
    const [x, y] = mark.getAttribute('transform').match(/[\d.]+/g).map(Number);
    return { x, y, text: mark.previousElementSibling.textContent, hidden: () => mark.closest('[display]') };
}

function describe(image, svg) {
    const points = [...svg.querySelectorAll('g > title + use')].map(point);
    const width = +svg.documentElement.getAttribute('width');
    const tip = document.createElement('output');
    tip.className = 'tip';
    tip.hidden = true;
    image.after(tip);
    image.addEventListener('pointerleave', () => { tip.hidden = true; });
    image.addEventListener('pointermove', event => {
        const box = image.getBoundingClientRect(), scale = width / box.width;
        const x = (event.clientX - box.left) * scale, y = (event.clientY - box.top) * scale;
        const away = p => Math.hypot(p.x - x, p.y - y);
        const near = points.filter(p => !p.hidden() && away(p) < 12).sort((p, q) => away(p) - away(q))[0];
        tip.hidden = !near;
        tip.textContent = near ? near.text : '';
        tip.style.left = `${Math.min(event.clientX + 12, innerWidth - tip.offsetWidth - 4)}px`;
        tip.style.top = `${event.clientY + 16}px`;
    });
}

function toggles(image, svg) {
    const series = new Map();
    for (const title of svg.querySelectorAll('g[id^=gnuplot_plot] > title'))
        series.set(title.textContent, [...series.get(title.textContent) ?? [], title.parentNode]);
    const bar = document.createElement('p');
    bar.className = 'series';
    for (const [name, groups] of series) {
        if (groups.length < 2) // in the key only
            continue;
        const button = document.createElement('button');
        button.textContent = name;
        button.ariaPressed = 'true';
        button.addEventListener('click', () => {
            const shown = button.ariaPressed !== 'true';
            button.ariaPressed = shown;
            groups.forEach(group => (shown ? group.removeAttribute('display') : group.setAttribute('display', 'none')));
            image.src = `data:image/svg+xml,${encodeURIComponent(new XMLSerializer().serializeToString(svg))}`;
        });
        bar.append(button);
    }
    if (bar.children.length > 1)
        image.after(bar);
}

for (const image of document.querySelectorAll('figure img')) {
    const svg = read(image);
    describe(image, svg);
    toggles(image, svg);
}

let closed = [];
addEventListener('beforeprint', () => {
    closed = [...document.querySelectorAll('details:not([open])')];
    closed.forEach(details => { details.open = true; });
});
addEventListener('afterprint', () => closed.forEach(details => { details.open = false; }));
