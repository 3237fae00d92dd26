/** Runs calls in workers, each of which is terminated when a call takes too long. */
import { ChonkleError, CodecError, CodecTrap, LimitExceeded, requireThat } from "./errors.js";

const ERRORS = { ChonkleError, CodecError, CodecTrap, LimitExceeded };

/**
 * A number of workers, which several codecs may share. They start when they are first needed.
 *
 * In node, pass `Worker` of `node:worker_threads`.
 */
export class Workers {
  #threads;
  #free;
  #waiting = [];
  #modules = 0;
  #options;

  constructor({
    size = globalThis.navigator?.hardwareConcurrency ?? 2,
    timeoutMs = 30_000,
    Worker = globalThis.Worker,
  } = {}) {
    const hint = "hint: in node, pass `Worker` of `node:worker_threads`";
    requireThat(Worker, ChonkleError, `there are no workers here; ${hint}`);
    this.#options = { timeoutMs, Worker };
    this.#threads = new Array(Math.max(1, size));
    this.#free = [...this.#threads.keys()];
  }

  /** Give what runs the calls of a module here. */
  runner(module, limits) {
    const key = this.#modules++;
    return {
      run: (direction, ports, names) => this.#run({ key, module, limits, direction, ports, names }),
    };
  }

  /** Terminate the workers. Calls that are under way fail. */
  close() {
    this.#threads.forEach((thread) => this.#stop(thread, new CodecTrap("the workers were closed")));
  }

  async #run(job) {
    const slot = this.#free.pop() ?? (await new Promise((resolve) => this.#waiting.push(resolve)));
    try {
      return await this.#ask(slot, job);
    } finally {
      const next = this.#waiting.shift();
      if (next) next(slot);
      else this.#free.push(slot);
    }
  }

  async #ask(slot, { module, ...job }) {
    const thread = (this.#threads[slot] ??= this.#start(slot));
    await Promise.race([thread.ready, thread.died]);
    // Copies, which then move to the worker: a clone of a view would have all of its buffer.
    const ports = Object.fromEntries(
      Object.entries(job.ports).map(([name, data]) => [name, data.slice()]),
    );
    const sent = { ...job, ports, module: thread.known.has(job.key) ? undefined : module };
    thread.known.add(job.key);
    const { timeoutMs } = this.#options;
    const late = new LimitExceeded(`ran longer than the allowed ${timeoutMs} ms`);
    const timer = setTimeout(() => this.#stop(thread, late), timeoutMs);
    const answer = new Promise((resolve) => {
      thread.port.onmessage = ({ data }) => resolve(data);
    });
    try {
      thread.port.postMessage(
        sent,
        Object.values(ports).map(({ buffer }) => buffer),
      );
      const { outputs, failure } = await Promise.race([answer, thread.died]);
      if (failure) throw new (ERRORS[failure.name] ?? CodecTrap)(failure.message);
      return outputs;
    } finally {
      clearTimeout(timer);
    }
  }

  #start(slot) {
    const { port1: port, port2 } = new MessageChannel();
    const worker = new this.#options.Worker(new URL("./worker.js", import.meta.url), {
      type: "module",
      execArgv: [], // in node: the program's own options are not for this script
    });
    const thread = { slot, worker, port, known: new Set() };
    thread.died = new Promise((_, reject) => {
      thread.fail = reject;
    });
    thread.died.catch(() => {}); // it may be idle
    thread.ready = new Promise((resolve) => {
      port.onmessage = resolve;
    });
    const listen = (worker.addEventListener ?? worker.on).bind(worker);
    listen("error", ({ message }) =>
      this.#stop(thread, new CodecTrap(`the worker failed: ${message ?? "it did not load"}`)),
    );
    worker.postMessage(port2, [port2]);
    return thread;
  }

  #stop(thread, failure) {
    if (this.#threads[thread.slot] === thread) delete this.#threads[thread.slot];
    thread.worker.terminate();
    thread.port.close();
    thread.fail(failure);
  }
}
