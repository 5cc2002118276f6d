// Everything that goes over the wire. Errors are of two kinds: Offline (nobody answered, or the server is in
// trouble: worth another try) and Refused (the server said no: trying again would not help).

export class Offline extends Error {}
export class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

// Where the server is open to the network its address carries a token, which every request must show.
const token = new URLSearchParams(location.search).get('token');
const patience = 30000; // ms

async function request(path, { method = 'GET', body, signal, keepalive = false, limit = patience, cache = 'no-store' } = {}) {
  const headers = {};
  if (token) headers['X-Token'] = token;
  if (body !== undefined) headers['Content-Type'] = 'application/json';
  const late = limit ? AbortSignal.timeout(limit) : null;
  const signals = [signal, late].filter(Boolean);
  let response;
  try {
    response = await fetch(path, {
      method,
      headers,
      keepalive,
      cache,
      body: body === undefined ? undefined : JSON.stringify(body),
      signal: signals.length > 1 ? AbortSignal.any(signals) : signals[0],
    });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new Offline('the server does not answer');
  }
  if (response.ok || response.status === 409) return response;
  const { error } = await response.json().catch(() => ({}));
  const message = error ?? `the server answered ${response.status}`;
  if (response.status >= 500 || response.status === 429) throw new Offline(message);
  throw new Refused(response.status, message);
}

async function json(path, options) {
  const response = await request(path, options);
  try {
    return { status: response.status, body: await response.json() };
  } catch {
    throw new Offline('the connection broke');
  }
}

async function blob(path, signal) {
  const response = await request(path, { signal, cache: 'default' });
  try {
    return await response.blob();
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new Offline('the connection broke');
  }
}

export const project = async () => (await json('/api/project')).body;
export const image = async (id) => (await json(`/api/images/${id}`)).body;
export const embedding = async (id) => (await json(`/api/images/${id}/embedding`)).body.state;
export const thumbnail = (id) => blob(`/api/images/${id}/thumbnail`);

// Stores an annotation. {saved: true, body: {version}}, or {saved: false, body: what is stored} where another window was first.
export async function save(id, annotation, keepalive) {
  const { status, body } = await json(`/api/images/${id}`, { method: 'PUT', body: annotation, keepalive });
  return { saved: status !== 409, body };
}

// The four masks of a prompt, or null while the image's embedding is not ready.
export async function masks(id, prompt, signal) {
  const { status, body } = await json(`/api/images/${id}/mask`, { method: 'POST', body: prompt, signal });
  return status === 202 ? null : body.choices;
}

// The picture, no longer than `side` pixels on its longest side, decoded away from the main thread.
export async function picture(id, side, signal) {
  const bitmap = await createImageBitmap(await blob(`/api/images/${id}/picture?side=${side}`, signal));
  return bitmap;
}

// The server's events as they come; returns when the stream ends. fetch and not EventSource, which cannot send the token.
export async function events(receive, signal) {
  const response = await request('/api/events', { signal, limit: 0 });
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = '';
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    text += value.replaceAll('\r', '');
    const parts = text.split('\n\n');
    text = parts.pop();
    for (const part of parts) {
      const data = part.split('\n').filter((line) => line.startsWith('data:')).map((line) => line.slice(5)).join('\n');
      if (data.trim()) receive(JSON.parse(data));
    }
  }
}
