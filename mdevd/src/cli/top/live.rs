//! On a terminal: looks come from a task of their own, keys from a thread, and whatever happens is drawn.

use std::io::{Read, stdin, stdout};
use std::os::fd::AsFd;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio::time::{MissedTickBehavior, interval};

use super::super::terminal::Terminal;
use super::super::{DONE, Failure, REFUSED};
use super::draw::{Status, draw, page};
use super::keys::Decoder;
use super::rates::{DeviceRates, Meter, Rates, Sample};
use super::screen::Screen;
use super::view::{Action, View};
use super::{Source, look};
use crate::bus::{CallError, ManagerClient};

/// The second look comes soon, so that there is something to see.
const SOON: Duration = Duration::from_millis(300);
/// Looks and bytes of keys that wait to be taken.
const WAITING: usize = 4;

/// What a look brought.
enum Look {
    /// Counters; `anew`: of a connection that is new.
    Seen { samples: Vec<Sample>, anew: bool },
    /// None.
    Failed(CallError),
}

fn system(error: &std::io::Error) -> Failure {
    Failure {
        code: REFUSED,
        kind: "failed".to_owned(),
        message: format!("cannot use the terminal: {error}; 'cvfctl top --batch 1' needs none"),
    }
}

/// Shows rates until a key or a signal ends it. The code is 0, or 128 and the signal.
pub(super) async fn run(terminal: Terminal, source: &Source, view: View) -> Result<u8, Failure> {
    let of = |kind| signal(kind).map_err(|error| system(&error));
    let mut resized = of(SignalKind::window_change())?;
    let mut stopped = of(SignalKind::from_raw(Signal::SIGTSTP as i32))?;
    let mut continued = of(SignalKind::from_raw(Signal::SIGCONT as i32))?;
    let mut interrupted = of(SignalKind::interrupt())?;
    let mut terminated = of(SignalKind::terminate())?;
    let mut hung_up = of(SignalKind::hangup())?;
    let (ask, asked) = watch::channel(view.pairs);
    let (looks, mut look) = mpsc::channel(WAITING);
    let watching = tokio::spawn(watch(source.clone(), asked, looks));
    let mut keys = keys();
    let shown = stdout().as_fd().try_clone_to_owned();
    let screen = shown
        .and_then(Screen::take)
        .map_err(|error| system(&error))?;
    let mut top = Live {
        terminal,
        screen,
        view,
        interval: source.interval,
        meter: Meter::default(),
        devices: Vec::new(),
        error: None,
    };
    let code = loop {
        top.draw().map_err(|error| system(&error))?;
        let action = tokio::select! {
            Some(look) = look.recv() => top.take(look),
            bytes = keys.recv() => match bytes {
                Some(bytes) => top.press(&bytes),
                // The terminal has hung up.
                None => Some(Action::Quit),
            },
            _ = resized.recv() => None,
            _ = stopped.recv() => Some(Action::Suspend),
            _ = continued.recv() => Some(Action::Clear),
            _ = interrupted.recv() => break 128 + Signal::SIGINT as u8,
            _ = terminated.recv() => break 128 + Signal::SIGTERM as u8,
            _ = hung_up.recv() => break 128 + Signal::SIGHUP as u8,
        };
        match action {
            Some(Action::Quit) => break DONE,
            Some(Action::Pairs) => drop(ask.send(top.view.pairs)),
            Some(Action::Clear) => top.screen.take_again().map_err(|error| system(&error))?,
            Some(Action::Suspend) => {
                top.screen.give_back();
                // The shell takes over until it sends SIGCONT.
                let mut go_on = of(SignalKind::from_raw(Signal::SIGCONT as i32))?;
                let _ = kill(Pid::this(), Signal::SIGSTOP);
                go_on.recv().await;
                top.screen.take_again().map_err(|error| system(&error))?;
            }
            Some(Action::Draw) | None => {}
        }
    };
    watching.abort();
    Ok(code)
}

struct Live {
    terminal: Terminal,
    screen: Screen,
    view: View,
    interval: Duration,
    meter: Meter,
    devices: Vec<DeviceRates>,
    error: Option<String>,
}

impl Live {
    fn take(&mut self, look: Look) -> Option<Action> {
        match look {
            Look::Seen { samples, anew } => {
                if anew {
                    self.meter.forget();
                }
                self.devices = self.meter.take(&samples);
                self.error = None;
            }
            Look::Failed(error) => self.error = Some(format!("trying again: {error}")),
        }
        None
    }

    /// The last of the actions that keys ask for, unless one of them is the end.
    fn press(&mut self, bytes: &Pressed) -> Option<Action> {
        let mut action = None;
        for &key in &bytes.0 {
            let rows = self.view.rows(&self.devices).len();
            let page = page(self.screen.size().1);
            action = self.view.press(key, rows, page).or(action);
            if action == Some(Action::Quit) {
                break;
            }
        }
        action
    }

    fn draw(&mut self) -> std::io::Result<()> {
        let size = self.screen.size();
        let mut total = Rates::default();
        for rates in self.devices.iter().filter_map(|device| device.rates) {
            total.rx += rates.rx;
            total.tx += rates.tx;
        }
        let status = Status {
            devices: self.devices.len(),
            total,
            interval: self.interval,
            error: self.error.as_deref(),
        };
        let rows = self.view.rows(&self.devices);
        let lines = draw(self.terminal, &self.view, &rows, &status, size);
        self.screen.show(&lines)
    }
}

/// Keys that came together.
struct Pressed(Vec<super::keys::Key>);

/// Keys as they are pressed. A thread waits for them, as a terminal that does not block would not block for its
/// other users either; it ends with the process.
fn keys() -> mpsc::Receiver<Pressed> {
    let (pressed, keys) = mpsc::channel(WAITING);
    std::thread::spawn(move || {
        let mut decoder = Decoder::default();
        let mut bytes = [0; 256];
        let mut terminal = stdin().lock();
        loop {
            match terminal.read(&mut bytes) {
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Ok(0) | Err(_) => return,
                Ok(length) => {
                    let keys = Pressed(decoder.take(&bytes[..length]));
                    if pressed.blocking_send(keys).is_err() {
                        return;
                    }
                }
            }
        }
    });
    keys
}

/// Looks at every interval, and at once when something else is asked for; connects again when it must.
async fn watch(source: Source, mut asked: watch::Receiver<bool>, looks: mpsc::Sender<Look>) {
    let mut ticks = interval(source.interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut client: Option<ManagerClient> = None;
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            changed = asked.changed() => if changed.is_err() { return },
        }
        let pairs = *asked.borrow_and_update();
        let anew = client.is_none();
        let seen = async {
            let connected = match client.take() {
                Some(connected) => connected,
                None => source.connect().await?,
            };
            let samples = look(&connected, pairs).await?;
            Ok((connected, samples))
        };
        let look = match seen.await {
            Ok((connected, samples)) => {
                client = Some(connected);
                Look::Seen { samples, anew }
            }
            Err(error) => Look::Failed(error),
        };
        if anew && client.is_some() {
            ticks.reset_after(SOON.min(source.interval));
        }
        if looks.send(look).await.is_err() {
            return;
        }
    }
}
