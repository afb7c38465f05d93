// The language of select("...") in Python (workbench/core/query.py), over the columns of a view. It is read by a grammar of
// its own: nothing in it is called or evaluated as code.

const QUERY_HELP = "Compare columns: position > 3, label == 'noun', label in ['noun', 'verb'], x < y, score == None (missing), joined by and, or, not " +
  "and brackets, with + - * / of numbers; `two words` names a column with a space.";
const LONGEST_QUERY = 10000;
const TOKEN = /\s*(?:((?:\d[\d_]*\.?[\d_]*|\.\d[\d_]*)(?:[eE][+-]?\d+)?)|('(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*")|`([^`]*)`|([\p{L}_][\p{L}\p{N}_]*)|(==|!=|<=|>=|\/\/|[<>+\-*/%()[\]{},&|~]))/uy;
const ESCAPES = { n: "\n", t: "\t", r: "\r" };

function queryTokens(text) {
  const out = [];
  TOKEN.lastIndex = 0;
  // out holds what stands before lastIndex, which moves on with every match
  while (TOKEN.lastIndex < text.trimEnd().length) {
    const from = TOKEN.lastIndex, match = TOKEN.exec(text);
    if (!match) throw new Error(`“${text.slice(from).trim().slice(0, 20)}” can't be read`);
    const [, number, string, ticked, word, sign] = match;
    if (number) out.push({ kind: "constant", value: Number(number.replaceAll("_", "")) });
    else if (string) out.push({ kind: "constant", value: string.slice(1, -1).replace(/\\(.)/gs, (_, c) => ESCAPES[c] ?? (/['"\\]/.test(c) ? c : `\\${c}`)) });
    else if (ticked !== undefined) out.push({ kind: "column", name: ticked });
    else if (["and", "or", "not", "in", "is"].includes(word)) out.push({ kind: "sign", text: word });
    else if (["True", "False", "None"].includes(word)) out.push({ kind: "constant", value: { True: true, False: false, None: null }[word] });
    else out.push(word ? { kind: "column", name: word } : { kind: "sign", text: sign });
  }
  return out;
}

// A tree of { op, of: [...] } over constants, columns and lists, with Python's precedence.
function queryTree(text) {
  if (text.length > LONGEST_QUERY) throw new Error(`it has ${text.length.toLocaleString()} characters, and ${LONGEST_QUERY.toLocaleString()} are read`);
  const tokens = queryTokens(text);
  let at = 0, depth = 0;
  const next = () => (tokens[at] && tokens[at].kind === "sign" ? tokens[at].text : "");
  const take = (...signs) => (signs.includes(next()) ? tokens[at++].text : "");
  const must = (sign) => { if (!take(sign)) throw new Error(`${sign} is missing`); };
  const chain = (inner, ...signs) => () => {
    let left = inner();
    for (let op = take(...signs); op; op = take(...signs)) left = { op, of: [left, inner()] };
    return left;
  };
  function list(close) {
    const of = [];
    while (next() !== close) { of.push(unary()); if (!take(",")) break; }
    must(close);
    return { op: "list", of };
  }
  function atom() {
    if (take("[")) return list("]");
    if (take("{")) return list("}");
    if (take("(")) {
      if (++depth > 90) throw new Error("its brackets are nested too deeply");
      const inner = either();
      depth--;
      if (next() !== ",") { must(")"); return inner; }
      at++;
      const rest = list(")");
      return { op: "list", of: [inner, ...rest.of] };
    }
    const token = tokens[at];
    if (!token || token.kind === "sign") throw new Error(token ? `${token.text} is out of place` : "it ends too early");
    at++;
    if (next() === "(" || next() === "[") throw new Error("calls and indices aren't read");
    return token.kind === "column" ? { op: "column", name: token.name } : { op: "constant", value: token.value };
  }
  function unary() {
    const op = take("-", "+", "~");
    return op ? { op: op === "~" ? "not" : op === "-" ? "minus" : "plus", of: [unary()] } : atom();
  }
  const product = chain(unary, "*", "/", "//", "%"), sum = chain(product, "+", "-"), both = chain(sum, "&"), one = chain(both, "|");
  function comparing() {
    const first = one(), pairs = [];
    let left = first;
    for (;;) {
      let op = take("==", "!=", "<=", ">=", "<", ">", "in", "is", "not");
      if (!op) break;
      if (op === "not") { must("in"); op = "not in"; } else if (op === "is" && take("not")) op = "is not";
      const right = one();
      pairs.push({ op, of: [left, right] });
      left = right;
    }
    return pairs.length ? pairs.reduce((a, b) => ({ op: "and", of: [a, b] })) : first;
  }
  const negated = () => (take("not") ? { op: "not", of: [negated()] } : comparing());
  const all = chain(negated, "and"), either = chain(all, "or");
  const tree = either();
  if (at < tokens.length) throw new Error(`${tokens[at].text ?? tokens[at].name ?? tokens[at].value} is out of place`);
  return tree;
}

// Which rows a query holds for, one byte a row, and the names of the columns it asks about. Throws an Error that says what is wrong.
function matching(text, columns, n) {
  const used = new Set();
  const filled = (test) => { const out = new Uint8Array(n); for (let i = 0; i < n; i++) out[i] = test(i) ? 1 : 0; return out; };
  const named = (name) => {
    const column = columns.find((c) => c.name === name) || (name === "index" && columns.find((c) => c.name === "row"));
    if (!column) throw new Error(`there is no column “${name}”. There are: ${columns.map((c) => c.name).slice(0, 12).join(", ")}. Texts stand in quotes`);
    used.add(column.name === "row" ? "index" : name);
    return column;
  };
  // What is compared: { numbers } or { labels, codes } of a column, or { constant }.
  function value(node) {
    if (node.op === "constant") return { constant: node.value };
    if (node.op === "column") {
      const { values, labels, type, missing } = named(node.name);
      if (type === "bool") return { numbers: Float64Array.from(values, (v) => ({ True: 1, False: 0 })[labels[v]] ?? NaN), truth: true };
      return labels ? { labels, codes: values, missing } : { numbers: values, single: values instanceof Float32Array };
    }
    const sides = (node.of || []).map((side) => number(side));
    const take = {
      "+": (a, b) => a + b, "-": (a, b) => a - b, "*": (a, b) => a * b, "/": (a, b) => a / b,
      "//": (a, b) => Math.floor(a / b), "%": (a, b) => a - b * Math.floor(a / b), minus: (a) => -a, plus: (a) => a,
    }[node.op];
    if (!take) throw new Error("it compares what is no value");
    if (sides.every((s) => "constant" in s)) return { constant: take(...sides.map((s) => s.constant)) };
    const [a, b] = sides.map((s) => ("constant" in s ? () => s.constant : (i) => s.numbers[i])), numbers = new Float64Array(n);
    for (let i = 0; i < n; i++) numbers[i] = take(a(i), b && b(i));
    return { numbers };
  }
  function number(node) {
    if (node.op === "list" || ["and", "or", "not", "in"].includes(node.op)) throw new Error("it computes with what is no number");
    const v = value(node);
    if (v.labels || (("constant" in v) && !["number", "boolean"].includes(typeof v.constant))) throw new Error("it computes with what is no number");
    return "constant" in v ? { constant: Number(v.constant) } : v;
  }
  const COMPARE = { "==": (a, b) => a === b, "!=": (a, b) => a !== b, "<": (a, b) => a < b, "<=": (a, b) => a <= b, ">": (a, b) => a > b, ">=": (a, b) => a >= b };
  const SWAPPED = { "<": ">", ">": "<", "<=": ">=", ">=": "<=", "==": "==", "!=": "!=" };
  function pair(op, left, right) {
    if (op === "in" || op === "not in") return within(left, right, op === "in");
    if (left.op === "list" || right.op === "list") throw new Error("a list stands behind in");
    let a = value(left), b = value(right);
    if (a.constant === null || b.constant === null) {
      const column = a.constant === null ? b : a;
      if ("constant" in column || !["==", "!=", "is", "is not"].includes(op)) throw new Error("None is compared with a column, by == or !=");
      const wanted = op === "==" || op === "is";
      return filled(column.labels ? (i) => (column.codes[i] === column.missing) === wanted : (i) => Number.isNaN(column.numbers[i]) === wanted);
    }
    if (op === "is" || op === "is not") throw new Error("is takes None behind it");
    if ("constant" in a && "constant" in b) { const held = COMPARE[op](plain(a.constant), plain(b.constant)); return filled(() => held); }
    if ("constant" in a) { [a, b] = [b, a]; op = SWAPPED[op]; }
    const compare = COMPARE[op], same = op === "==" || op === "!=";
    if (Boolean(a.labels) !== ("constant" in b ? typeof b.constant === "string" : Boolean(b.labels))) {
      if (!same) throw new Error("it says which of a text and a number is larger");
      return filled(() => op === "!=");
    }
    if (!("constant" in b)) {
      if (!a.labels) return filled((i) => compare(a.numbers[i], b.numbers[i]));
      return filled((i) => (a.codes[i] === a.missing || b.codes[i] === b.missing ? op === "!=" : compare(a.labels[a.codes[i]], b.labels[b.codes[i]])));
    }
    if (a.labels) { // each label is looked at once, however many rows have it
      const held = Uint8Array.from(a.labels, (label, v) => (v === a.missing ? op === "!=" : compare(label, b.constant)) ? 1 : 0);
      return filled((i) => held[a.codes[i]]);
    }
    // a column of 32 bits is compared with what the constant is in 32 bits, so that what was 0.1 is 0.1
    const constant = a.single ? Math.fround(plain(b.constant)) : plain(b.constant);
    return filled((i) => compare(a.numbers[i], constant));
  }
  const plain = (constant) => (typeof constant === "boolean" ? Number(constant) : constant);
  function within(left, right, wanted) {
    const a = left.op === "list" ? { constant: null } : value(left);
    if (right.op !== "list" || "constant" in a) throw new Error("in takes a column before it and a list behind it");
    const listed = right.of.map((node) => { const v = value(node); if (!("constant" in v)) throw new Error("a list behind in holds numbers and texts"); return v.constant; });
    if (a.labels) {
      const held = Uint8Array.from(a.labels, (label, v) => (v === a.missing ? listed.includes(null) : listed.includes(label)) === wanted ? 1 : 0);
      return filled((i) => held[a.codes[i]]);
    }
    const set = new Set(listed.filter((c) => typeof c !== "string").map((c) => (c === null ? NaN : a.single ? Math.fround(plain(c)) : plain(c))));
    return filled((i) => set.has(a.numbers[i]) === wanted);
  }
  function truth(node) {
    if (node.op === "and" || node.op === "&" || node.op === "or" || node.op === "|") {
      const [a, b] = node.of.map(truth), all = node.op === "and" || node.op === "&";
      return filled(all ? (i) => a[i] && b[i] : (i) => a[i] || b[i]);
    }
    if (node.op === "not") { const held = truth(node.of[0]); return filled((i) => !held[i]); }
    if (["==", "!=", "<", "<=", ">", ">=", "in", "not in", "is", "is not"].includes(node.op)) return pair(node.op, ...node.of);
    if (node.op === "constant" && typeof node.value === "boolean") return filled(() => node.value);
    if (node.op === "column") { const v = value(node); if (v.truth) return filled((i) => v.numbers[i] === 1); throw new Error(`${node.name} is no truth value: compare it with something`); }
    throw new Error("it is no comparison");
  }
  return { rows: truth(queryTree(text)), used: [...used] };
}

// A filter (a range, or some values of a column) as a query; null where the language has no word for it.
function filterQuery({ name, low, high, values }, column) {
  const as = /^[A-Za-z_]\w*$/.test(name) && !["and", "or", "not", "in", "is", "True", "False", "None", "if", "else", "for", "lambda"].includes(name) ? name : `\`${name}\``;
  if (name.includes("`") || (column.labels && !["text", "bool"].includes(column.type))) return null;
  if (!values) return `${exactly(low, true)} <= ${as} <= ${exactly(high, true)}`;
  const spelled = values.map((v) => (column.type === "bool" ? v : column.labels ? pythonText(v) : exactly(v, true)));
  return spelled.length === 1 ? `${as} == ${spelled[0]}` : `${as} in [${spelled.join(", ")}]`;
}

const pythonText = (text) => `'${text.replaceAll("\\", "\\\\").replaceAll("'", "\\'").replaceAll("\n", "\\n").replaceAll("\r", "\\r").replaceAll("\t", "\\t")}'`;
