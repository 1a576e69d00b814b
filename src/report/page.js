// page.js - a click on a column's head sorts the table's rows by it, and again the other way.
function key(row, column) {
    const cell = row.cells[column], value = cell.dataset.v;
    return value === undefined ? cell.textContent : +value;
}

function compare(x, y) {
    return typeof x === 'number' && typeof y === 'number' ? x - y : String(x).localeCompare(String(y));
}

for (const head of document.querySelectorAll('thead th'))
    head.addEventListener('click', () => {
        const body = head.closest('table').tBodies[0];
        const column = [...head.parentNode.children].indexOf(head);
        const up = head.dataset.up !== '1';
        head.dataset.up = up ? '1' : '0';
        [...body.rows]
            .sort((a, b) => (up ? 1 : -1) * compare(key(a, column), key(b, column)))
            .forEach(row => body.append(row));
    });
