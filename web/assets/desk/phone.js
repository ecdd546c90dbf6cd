// The telephone: SIP over the page's WebSocket, one call and at most a second one to ask somebody. It knows no page:
// whoever shows it listens to "change" and "news".

import JsSIP from "jssip";

const CODECS = new Set(["0", "8"]); // PCMU, PCMA: what the trunk carries, so that nobody converts
const RECOVER = { connection_recovery_min_interval: 1, connection_recovery_max_interval: 4 };
const BUSY = 486;
const GATHER = 300; // ms in which an address of this machine is found; there is no server to ask for more
const TURN_MS = 50;
const RETURNS = 30000; // ms in which a call that was brought back to us must ring

const { BUSY: LINE_BUSY, REJECTED, NOT_FOUND, ADDRESS_INCOMPLETE } = JsSIP.C.causes;
const UNREACHED = { [LINE_BUSY]: "busy", [REJECTED]: "barred", [NOT_FOUND]: "barred", [ADDRESS_INCOMPLETE]: "barred" };

class Call {
  constructor(session, incoming, name) {
    this.session = session;
    this.incoming = incoming;
    this.name = name;
    this.number = session?.remote_identity?.uri.user ?? "";
    this.state = incoming ? "ringing" : "dialling"; // then talking, held, over
    this.since = Date.now();
    this.remote = new MediaStream();
  }

  is(state) {
    this.state = state;
    this.since = Date.now();
  }
}

export class Phone extends EventTarget {
  #ua = null;
  #sound;
  #muted = false;
  #returnsUntil = 0;
  #renew = false; // the connection was lost: what Asterisk knows of where we are is old

  /** @param sound {Sound} */
  constructor(sound) {
    super();
    this.#sound = sound;
    this.connection = "off"; // connecting, ready, lost
    this.calls = []; // the citizen's first, then whom we ask
    this.three = false;
    this.answersItself = false;
  }

  get call() {
    return this.calls[0] ?? null;
  }

  /** Whom we ask while the first one waits. */
  get second() {
    return this.calls[1] ?? null;
  }

  get muted() {
    return this.#muted;
  }

  /** Registers. `given`: {user, password, domain, returning} as the server gave it. */
  start(given) {
    const { protocol, host } = location;
    const socket = new JsSIP.WebSocketInterface(`${protocol === "https:" ? "wss" : "ws"}://${host}/ws`);
    if (given.returning) this.#returnsUntil = Date.now() + RETURNS;
    this.connection = "connecting";
    this.#ua = new JsSIP.UA({ sockets: [socket], uri: `sip:${given.user}@${given.domain}`, password: given.password,
                              register_expires: 300, user_agent: "1551", ...RECOVER }); // prettier-ignore
    this.#ua.on("registered", () => this.#registered());
    this.#ua.on("registrationFailed", () => this.#lost(this.#ua.isConnected() ? "refused" : "lost"));
    this.#ua.on("disconnected", () => this.#lost("lost"));
    this.#ua.on("newRTCSession", ({ originator, session }) => originator === "remote" && this.#rung(session));
    this.#ua.start();
    this.#changed();
  }

  /** Ends all calls and signs off. */
  stop() {
    this.#ua?.stop();
    this.#ua = null;
    this.connection = "off";
    this.#sound.ring(false);
    this.#changed();
  }

  #registered() {
    this.connection = "ready";
    // Asterisk would tell a call that is on what happens to it where we were before: we say where we are now.
    if (this.#renew) for (const call of this.calls) if (call.session.isEstablished()) call.session.renegotiate();
    this.#renew = false;
    this.#changed();
  }

  #lost(how) {
    if (!this.#ua) return;
    this.connection = how;
    this.#renew = true;
    this.#changed();
  }

  // ── calls ──
  #rung(session) {
    if (this.calls.length) {
      session.terminate({ status_code: BUSY });
      return;
    }
    const call = new Call(session, true, session.remote_identity.display_name);
    this.#follow(call, session);
    this.#sound.ring(true);
    this.#changed();
    if (this.answersItself || Date.now() < this.#returnsUntil) {
      this.#returnsUntil = 0;
      this.#sound.ring(false);
      this.#sound.announce().then(() => call.state === "ringing" && this.answer());
    }
  }

  answer() {
    const call = this.call;
    if (call?.state !== "ringing") return;
    this.#sound.ring(false);
    call.is("connecting");
    call.outlet = this.#sound.outlet();
    call.session.answer({ mediaStream: call.outlet.stream, pcConfig: { iceServers: [] } });
    this.#changed();
  }

  /** Calls a number; while somebody is spoken with, he waits and this one is asked first. */
  async dial(number, name = "") {
    if (this.connection !== "ready" || this.second || (this.call && !["talking", "held"].includes(this.call.state))) return;
    if (this.call?.state === "talking") await this.hold();
    const call = new Call(null, false, name);
    call.number = number;
    call.outlet = this.#sound.outlet();
    const eventHandlers = { peerconnection: ({ peerconnection }) => this.#listen(call, peerconnection) };
    const session = this.#ua.call(number, { mediaStream: call.outlet.stream, pcConfig: { iceServers: [] }, eventHandlers });
    call.session = session;
    this.#follow(call, session);
    this.#changed();
  }

  #follow(call, session) {
    this.calls.push(call);
    session.on("peerconnection", ({ peerconnection }) => this.#listen(call, peerconnection));
    session.on("sdp", (event) => event.originator === "local" && (event.sdp = plain(event.sdp)));
    session.on("icecandidate", ({ ready }) => setTimeout(ready, GATHER));
    session.on("confirmed", () => call.state === "held" || this.#talks(call));
    session.on("accepted", () => call.state === "held" || this.#talks(call));
    session.on("failed", ({ originator, cause }) => this.#over(call, originator === "local" ? "" : cause));
    session.on("ended", () => this.#over(call, ""));
  }

  #talks(call) {
    if (call.state === "talking") return;
    call.is("talking");
    this.#changed();
  }

  #listen(call, connection) {
    if (call.connection === connection) return;
    call.connection = connection;
    connection.addEventListener("track", ({ track }) => {
      call.remote.addTrack(track);
      call.silence?.();
      call.silence = this.#sound.play(call.remote);
    });
  }

  #over(call, cause) {
    if (!this.calls.includes(call)) return;
    const [asked, answered] = [call === this.second, call.state !== "ringing" && call.state !== "dialling"];
    this.calls.splice(this.calls.indexOf(call), 1);
    call.is("over");
    call.turned?.();
    call.silence?.();
    call.outlet?.close();
    this.#sound.ring(false);
    this.three = false;
    this.call?.outlet?.alone();
    if (!this.calls.length) this.mute(false);
    // Whom we asked has gone: the citizen shall not stay on hold because nobody noticed.
    if (asked && this.call?.state === "held") this.resume();
    if (!call.incoming && !answered && cause) this.#news(UNREACHED[cause] ?? "unreached");
    this.#changed();
  }

  /** Ends what is spoken now: whom we ask, else the call. */
  hangUp() {
    const call = this.second ?? this.call;
    if (call) call.session.isEnded() || call.session.terminate(call.state === "ringing" ? { status_code: BUSY } : {});
  }

  mute(muted) {
    this.#muted = this.#sound.muted = muted;
    this.#changed();
  }

  hold() {
    return this.#turn("held");
  }

  resume() {
    return this.#turn("talking");
  }

  async #turn(state) {
    const call = this.call;
    if (!["talking", "held"].includes(call?.state) || call.state === state) return;
    call.is(state);
    this.#changed();
    // One question about a call at a time: who changes his mind at once waits for the first to be answered.
    while (call.state === state && call.session.isEstablished()) {
      const answered = new Promise((done) => (call.turned = done));
      if (call.session[state === "held" ? "hold" : "unhold"]({}, call.turned)) return void (await answered);
      if (call.session.isOnHold().local === (state === "held")) return;
      await new Promise((done) => setTimeout(done, TURN_MS));
    }
  }

  press(key) {
    const call = this.second ?? this.call;
    if (call?.session.isEstablished()) call.session.sendDTMF(key, { transportType: JsSIP.C.DTMF_TRANSPORT.RFC2833, duration: 120 });
  }

  /** Gives the call away to a number, unasked. */
  transfer(number) {
    this.#refer(number, {});
  }

  /** The citizen and whom we asked go on without us. */
  connect() {
    if (this.second?.state === "talking") this.#refer(this.second.session.remote_identity.uri, { replaces: this.second.session });
  }

  #refer(to, options) {
    const call = this.call;
    if (!call?.session.isEstablished()) return;
    const failed = () => this.#news("not_transferred");
    call.session.refer(to, { ...options, eventHandlers: {
      requestFailed: failed,
      failed,
      accepted: () => {
        this.#news("transferred");
        for (const each of [...this.calls]) each.session.isEnded() || each.session.terminate();
      },
    } }); // prettier-ignore
  }

  /** All three hear each other. */
  async together() {
    const [citizen, asked] = this.calls;
    if (asked?.state !== "talking" || this.three) return;
    citizen.outlet.mix(asked.remote);
    asked.outlet.mix(citizen.remote);
    this.three = true;
    await this.resume();
    this.#changed();
  }

  #changed() {
    this.dispatchEvent(new Event("change"));
  }

  #news(id) {
    if (id) this.dispatchEvent(new CustomEvent("news", { detail: id }));
  }
}

/** The offer with no codecs but CODECS and, for keys, telephone-event at their clock. */
function plain(sdp) {
  const events = [...sdp.matchAll(/^a=rtpmap:(\d+) telephone-event\/8000/gm)].map(([, type]) => type);
  const kept = new Set([...CODECS, ...events]);
  return sdp
    .replace(/^(m=audio \d+ \S+) ([\d ]+)$/gm, (_, start, types) => `${start} ${types.split(" ").filter((type) => kept.has(type)).join(" ")}`)
    .split("\r\n")
    .filter((line) => !/^a=(rtpmap|fmtp|rtcp-fb):/.test(line) || kept.has(line.match(/:(\d+)/)?.[1]))
    .join("\r\n");
}
