// page.js - the head of a column sorts its table's rows: by a click, Enter or the space bar; again the other way. A
// print has all details open.
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

let closed = [];
addEventListener('beforeprint', () => {
    closed = [...document.querySelectorAll('details:not([open])')];
    closed.forEach(details => { details.open = true; });
});
addEventListener('afterprint', () => closed.forEach(details => { details.open = false; }));
