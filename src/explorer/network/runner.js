// When a lab takes its steps: in slices, between which it hears messages, no faster than asked; and when it reports.

const BETWEEN_REPORTS = 40; // ms
const WINDOW = 1000; // ms over which the speed is measured

/** Drive a lab. receive(command) is what it hears; post(message) takes its reports, and {type: "error", text} where a
 *  command is not allowed. later(act, wait) calls act when messages have been heard and some `wait` ms have passed;
 *  slice: ms that steps may take until then. */
export function runner(lab, { post, later, slice, clock = () => performance.now() }) {
  const self = { lab, post, later, slice, clock, due: 0, reported: -BETWEEN_REPORTS, waiting: false, meter: meter() };
  return {
    receive(command) {
      if (command.type === "play" && clock() - self.reported > WINDOW) self.meter = meter(); // it has rested
      try {
        lab.receive(command);
      } catch (error) {
        post({ type: "error", text: error.message });
      }
      wake(self);
    },
  };
}

function wake(self) {
  if (self.waiting) return;
  self.waiting = true;
  const act = () => {
    self.waiting = false;
    turn(self);
  };
  self.later(act, self.lab.running ? Math.min(Math.max(0, self.due - self.clock()), BETWEEN_REPORTS) : 0);
}

/** Steps for the time of a slice, or until none is due; then a report, if it is time for one. */
function turn(self) {
  const { lab, clock } = self;
  const end = clock() + self.slice;
  while (lab.running && isDue(self) && clock() < end) {
    lab.step();
    self.meter.count(1);
  }
  if (!lab.running || clock() - self.reported >= BETWEEN_REPORTS) report(self);
  if (lab.running) wake(self);
}

/** Whether the next step may be taken. What was missed, such as while a tab slept, is not made up for. */
function isDue(self) {
  const [now, between] = [self.clock(), self.lab.speed ? 1000 / self.lab.speed : 0];
  if (now < self.due) return false;
  self.due = Math.max(self.due + between, now - self.slice);
  return true;
}

function report(self) {
  const found = self.lab.report();
  if (!found) return;
  self.reported = self.clock();
  self.post({ ...found, steps_per_second: self.meter.read(self.reported) });
}

/** Steps a second, over the last WINDOW or so; the short rests of a lab between two `play` are in it. */
function meter() {
  let [steps, since, rate] = [0, null, 0];
  return {
    count: (more) => {
      steps += more;
    },
    read(now) {
      since ??= now;
      if (now - since >= WINDOW || (rate === 0 && now > since)) {
        rate = (1000 * steps) / (now - since);
        [steps, since] = [0, now];
      }
      return rate;
    },
  };
}
