// What is heard and said: the microphone, the loudspeaker, the ringing. All speech to the other side goes through one
// place, so that muting, another microphone, or a conversation of three change nothing in the calls themselves.

export class SoundError extends Error {
  /** @param {"insecure" | "refused" | "missing" | "busy"} id what is wrong with the microphone */
  constructor(id) {
    super(id);
    this.id = id;
  }
}

const REASONS = { NotAllowedError: "refused", SecurityError: "refused", NotFoundError: "missing", OverconstrainedError: "missing" };
const RING = [[0, 0.4, 440], [0.45, 0.4, 550]]; // when, how long, which tone: a pair every three seconds
const RING_EVERY = 3000;

export class Sound {
  #source = null; // the microphone, as the mixture takes it
  #microphone = null;
  #ringing = null;
  #players = new Set();
  #speaker = "";

  constructor() {
    this.context = new AudioContext();
    this.#voice = this.context.createGain();
    this.#level = this.context.createAnalyser();
    this.#level.fftSize = 512;
    this.onlost = () => {};
  }

  #voice; // what we say, to whomever
  #level; // of the microphone, whether muted or not

  /** Takes this microphone, or the machine's usual one. SoundError when there is none to be had. */
  async open(device = "") {
    if (!navigator.mediaDevices) throw new SoundError("insecure");
    const wanted = { echoCancellation: true, noiseSuppression: true, autoGainControl: true };
    let stream;
    try {
      stream = await navigator.mediaDevices.getUserMedia({ audio: { ...wanted, ...(device && { deviceId: { exact: device } }) } });
    } catch (error) {
      // One that was chosen and has been pulled out: the usual one will do.
      if (device && REASONS[error.name] === "missing") return this.open();
      throw new SoundError(REASONS[error.name] ?? "busy");
    }
    this.close();
    this.#microphone = stream;
    this.#source = this.context.createMediaStreamSource(stream);
    this.#source.connect(this.#voice);
    this.#source.connect(this.#level);
    stream.getAudioTracks()[0].onended = () => this.onlost();
    await this.wake();
  }

  /** Gives the microphone back. */
  close() {
    this.#source?.disconnect();
    for (const track of this.#microphone?.getTracks() ?? []) {
      track.onended = null;
      track.stop();
    }
    this.#source = this.#microphone = null;
  }

  /** Whether the browser lets us make a sound; it wants a key or a click of the person first. */
  async wake() {
    if (this.context.state !== "running") await Promise.race([this.context.resume(), new Promise((done) => setTimeout(done, 500))]);
    return this.context.state === "running";
  }

  set muted(muted) {
    this.#voice.gain.value = muted ? 0 : 1;
  }

  /** What one call is given of our side. `mix(stream)` adds somebody else's voice to it. */
  outlet() {
    const end = this.context.createMediaStreamDestination();
    this.#voice.connect(end);
    const others = [];
    return {
      stream: end.stream,
      mix: (stream) => {
        const other = this.context.createMediaStreamSource(stream);
        other.connect(end);
        others.push(other);
      },
      alone: () => others.splice(0).forEach((other) => other.disconnect()),
      close: () => {
        this.#voice.disconnect(end);
        others.splice(0).forEach((other) => other.disconnect());
      },
    };
  }

  /** Lets a call be heard; call what it returns when it is over. */
  play(stream) {
    const player = new Audio();
    player.srcObject = stream;
    player.setSinkId?.(this.#speaker).catch(() => {});
    player.play().catch(() => {});
    this.#players.add(player);
    return () => {
      player.srcObject = null;
      this.#players.delete(player);
    };
  }

  /** Everything is heard from this loudspeaker, where the browser can choose. */
  set speaker(device) {
    this.#speaker = device;
    for (const one of [...this.#players, this.context]) one.setSinkId?.(device).catch(() => {});
  }

  /** What there is: {microphones, speakers}, each {id, name}. */
  async devices() {
    const found = (await navigator.mediaDevices?.enumerateDevices?.()) ?? [];
    const of = (kind) => found.filter((one) => one.kind === kind).map((one) => ({ id: one.deviceId, name: one.label }));
    return { microphones: of("audioinput"), speakers: "setSinkId" in HTMLMediaElement.prototype ? of("audiooutput") : [] };
  }

  /** How loud it is at the microphone now, 0 to 1. */
  level() {
    const wave = new Float32Array(this.#level.fftSize);
    this.#level.getFloatTimeDomainData(wave);
    return Math.min(1, Math.sqrt(wave.reduce((sum, one) => sum + one * one, 0) / wave.length) * 4);
  }

  /** Records the microphone for so long and plays it back; `playing` is told in between. */
  async hearOneself(milliseconds, playing) {
    const recorder = new MediaRecorder(this.#microphone);
    const pieces = [];
    recorder.ondataavailable = (event) => pieces.push(event.data);
    const over = new Promise((done) => (recorder.onstop = done));
    recorder.start();
    setTimeout(() => recorder.stop(), milliseconds);
    await over;
    playing();
    const heard = this.context.createBufferSource();
    heard.buffer = await this.context.decodeAudioData(await new Blob(pieces).arrayBuffer());
    heard.connect(this.context.destination);
    await new Promise((done) => {
      heard.onended = done;
      heard.start();
    });
  }

  ring(on) {
    clearInterval(this.#ringing);
    this.#ringing = null;
    if (!on) return;
    const once = () => RING.forEach((tone) => this.#tone(...tone));
    once();
    this.#ringing = setInterval(once, RING_EVERY);
  }

  /** Two short tones before a call answers by itself; returns when they are over. */
  async announce() {
    this.#tone(0, 0.12, 880);
    this.#tone(0.16, 0.12, 880);
    await new Promise((done) => setTimeout(done, 350));
  }

  #tone(after, seconds, frequency) {
    const at = this.context.currentTime + after;
    const tone = this.context.createOscillator();
    const gain = this.context.createGain();
    tone.frequency.value = frequency;
    gain.gain.setValueAtTime(0, at);
    gain.gain.linearRampToValueAtTime(0.2, at + 0.02);
    gain.gain.setValueAtTime(0.2, at + seconds - 0.04);
    gain.gain.linearRampToValueAtTime(0, at + seconds);
    tone.connect(gain).connect(this.context.destination);
    tone.start(at);
    tone.stop(at + seconds);
  }
}
