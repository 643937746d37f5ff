// Square matrices, row after row. They stand in programs that call them.
// a triangular matrix, what its rows stand for, and the determinant: the largest pivot of each column first, as LAPACK
function eliminated(a, b, n) {
  const A = a.slice(), x = b.slice(), m = x.length / n;
  let det = 1;
  const swap = (y, wide, i, k) => {
    for (let j = 0; j < wide; j++) [y[i * wide + j], y[k * wide + j]] = [y[k * wide + j], y[i * wide + j]];
  };
  for (let k = 0; k < n; k++) {
    let p = k;
    for (let i = k + 1; i < n; i++) if (Math.abs(A[i * n + k]) > Math.abs(A[p * n + k])) p = i;
    if (p !== k) {
      swap(A, n, p, k);
      swap(x, m, p, k);
      det = -det;
    }
    det *= A[k * n + k];
    for (let i = k + 1; i < n && A[k * n + k]; i++) {
      const f = A[i * n + k] / A[k * n + k];
      for (let j = k; j < n; j++) A[i * n + j] -= f * A[k * n + j];
      for (let j = 0; j < m; j++) x[i * m + j] -= f * x[k * m + j];
    }
  }
  return [A, x, det];
}

function solved(a, b, n) {
  const [A, x] = eliminated(a, b, n), m = x.length / n;
  for (let i = n - 1; i >= 0; i--)
    for (let c = 0; c < m; c++) {
      for (let j = i + 1; j < n; j++) x[i * m + c] -= A[i * n + j] * x[j * m + c];
      x[i * m + c] /= A[i * n + i];
    }
  return x;
}

const inverted = (a, n) => solved(a, each(n * n, (i) => +(i % (n + 1) === 0)), n);
const determinant = (a, n) => eliminated(a, new Float64Array(0), n)[2];
const minor = (a, n, r, c) => determinant(a.filter((_, i) => Math.floor(i / n) !== r && i % n !== c), n - 1);
const cofactors = (a, n) => each(n * n, (i) => (-1) ** (Math.floor(i / n) + (i % n)) * minor(a, n, Math.floor(i / n), i % n));

function factored(a, n) {
  const L = new Float64Array(n * n);
  for (let i = 0; i < n; i++)
    for (let j = 0; j <= i; j++) {
      let rest = a[i * n + j];
      for (let k = 0; k < j; k++) rest -= L[i * n + k] * L[j * n + k];
      L[i * n + j] = i === j ? Math.sqrt(rest) : rest / L[j * n + j];
    }
  return L;
}
