//! Clients of the bus, who remember what they were told.

use std::collections::BTreeSet;
use std::time::Duration;

use mdevd::bus::{CallError, ManagerClient, Options};
use mdevd::engine::{CreateRequest, ErrorKind, OrNone};
use serde_json::{Value, json};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use super::super::dice::Dice;
use super::super::judge::Judge;
use super::super::support::House;
use super::life::runtime;
use super::{CLIENTS, look};

const NAMES: u64 = 4;

/// Something that happened to a client, in the order in which it did.
enum Event {
    /// It asks for a device.
    Create(String, Value),
    /// It asks for one to go.
    Destroy(String),
    /// It asks for what it has made to become so.
    Change(String, Value),
    /// It was told that it is.
    Changed(String),
    /// It was told that it is done, and by a creation which uuid, MAC, PF and socket there are.
    Done(String, Option<Value>),
    /// It was told no.
    Refused(String),
}

/// What a device that is asked for so will be shown as, apart from what the daemon chooses.
fn asked(request: &CreateRequest) -> Value {
    json!({
        "state": "ready",
        "queue_pairs": request.queue_pairs,
        "mtu": request.mtu,
        "vlan": request.vlan,
        "ring_format": request.ring_format.as_deref().unwrap_or("split"),
        "socket_mode": request.socket_mode.as_deref().unwrap_or("0660"),
    })
}

fn options(request: &CreateRequest) -> Options {
    let mut options = Options::new();
    for (key, number) in [
        ("queue_pairs", request.queue_pairs),
        ("mtu", request.mtu),
        ("vlan", request.vlan.and_then(OrNone::number)),
    ] {
        options.extend(number.map(|number| (key, number.into())));
    }
    let texts = [
        ("mac", &request.mac),
        ("ring_format", &request.ring_format),
        ("socket_mode", &request.socket_mode),
    ];
    for (key, text) in texts {
        options.extend(text.clone().map(|text| (key, text.into())));
    }
    options
}

/// A client, and where what happens to it is told.
struct Told {
    manager: ManagerClient,
    events: UnboundedSender<Event>,
}

impl Told {
    async fn connect(house: &House, events: UnboundedSender<Event>) -> Self {
        let manager = ManagerClient::connect(&house.bus())
            .await
            .expect("it answers");
        Self { manager, events }
    }

    fn tell(&self, event: Event) {
        let _ = self.events.send(event);
    }

    /// False: nobody answers any more.
    fn answered(&self, name: &str, answer: Result<Option<Value>, CallError>) -> bool {
        match answer {
            Ok(made) => self.tell(Event::Done(name.to_owned(), made)),
            Err(CallError::Refused {
                kind: Some(ErrorKind::AlreadyExists | ErrorKind::NotFound),
                ..
            }) => {
                self.tell(Event::Refused(name.to_owned()));
            }
            Err(CallError::Refused { message, .. }) => panic!("'{name}' was refused: {message}"),
            Err(_) => return false,
        }
        true
    }

    async fn create(&self, name: &str, dice: &mut Dice) -> bool {
        let request = dice.request(name);
        self.tell(Event::Create(name.to_owned(), asked(&request)));
        let made = self.manager.create(name, options(&request)).await;
        self.answered(name, made.map(Some))
    }

    async fn destroy(&self, name: &str) -> bool {
        self.tell(Event::Destroy(name.to_owned()));
        let gone = self.manager.destroy(name, false).await;
        self.answered(name, gone.map(|()| None))
    }

    async fn set(&self, name: &str, up: bool) -> bool {
        let link = if up { "up" } else { "down" };
        let set = self
            .manager
            .set(name, [("link", link.into())].into_iter().collect())
            .await;
        !matches!(
            set,
            Err(CallError::Unreachable { .. } | CallError::Strange(_))
        )
    }

    /// A whole life without a creation: defined, started, stopped, undefined.
    async fn life(&self, name: &str, dice: &mut Dice) -> bool {
        let request = dice.request(name);
        let (manager, options) = (&self.manager, options(&request));
        let become_so = |state: &str| {
            let mut asked = asked(&request);
            asked["state"] = state.into();
            self.tell(Event::Change(name.to_owned(), asked));
        };
        let done = |answer: Result<Value, CallError>| match answer {
            Ok(_) => {
                self.tell(Event::Changed(name.to_owned()));
                true
            }
            Err(CallError::Refused { message, .. }) => panic!("'{name}' was refused: {message}"),
            Err(_) => false,
        };
        become_so("defined");
        if !done(manager.define(name, options).await) {
            return false;
        }
        become_so("ready");
        if !done(manager.start(name).await) {
            return false;
        }
        become_so("defined");
        if !done(manager.stop(name, false).await) {
            return false;
        }
        self.tell(Event::Destroy(name.to_owned()));
        done(manager.undefine(name).await)
    }

    async fn anything(&self, name: &str, dice: &mut Dice) -> bool {
        match dice.below(5) {
            0 | 1 => self.destroy(name).await,
            2 => self.set(name, dice.below(2) == 0).await,
            _ => self.create(name, dice).await,
        }
    }
}

/// Several clients at work until `kill`, which is called `after` they began.
pub fn work(house: &House, judge: &mut Judge, seed: u64, after: Duration, kill: impl FnOnce()) {
    watched(house, judge, async |events| {
        let mut tasks = Vec::new();
        for client in 0..CLIENTS {
            let one = Told::connect(house, events.clone()).await;
            let mut dice = Dice(seed ^ client);
            tasks.push(tokio::spawn(async move {
                while one
                    .anything(&format!("c{client}n{}", dice.below(NAMES)), &mut dice)
                    .await
                {}
            }));
        }
        // The moment of the kill is what is random here; nothing is waited for.
        tokio::time::sleep(after).await;
        kill();
        for task in tasks {
            task.await.expect("no panic");
        }
    });
}

/// Makes "old" be there and "new" not.
pub fn prepare(house: &House, judge: &mut Judge) {
    watched(house, judge, async |events| {
        let one = Told::connect(house, events).await;
        let there = one.manager.show("old").await.is_ok();
        assert!(there || one.create("old", &mut Dice(1)).await);
        assert!(one.destroy("new").await);
        assert!(one.destroy("def").await);
    });
}

/// A creation, a change, a destruction and a defined device's life, as far as the daemon lives.
pub fn one_of_each(house: &House, judge: &mut Judge, seed: u64) {
    watched(house, judge, async |events| {
        let one = Told::connect(house, events).await;
        let _ = one.create("new", &mut Dice(seed)).await
            && one.set("new", false).await
            && one.destroy("old").await
            && one.life("def", &mut Dice(seed + 1000)).await;
    });
}

/// Runs clients to their end, then tells the judge what they were told.
fn watched(house: &House, judge: &mut Judge, clients: impl AsyncFnOnce(UnboundedSender<Event>)) {
    let there = look(house).into_keys().collect();
    let (events, mut told) = unbounded_channel();
    runtime().block_on(clients(events));
    let mut known = Known { there, judge };
    while let Some(event) = told.blocking_recv() {
        known.hear(event);
    }
}

/// Turns what clients know into what the judge wants to know: whole devices.
struct Known<'a> {
    there: BTreeSet<String>,
    judge: &'a mut Judge,
}

impl Known<'_> {
    fn hear(&mut self, event: Event) {
        match event {
            Event::Create(name, asked) => {
                // One that is there is not made again.
                if !self.there.contains(&name) {
                    self.judge.begun(&name, Some(asked));
                }
            }
            Event::Destroy(name) => self.judge.begun(&name, None),
            Event::Done(name, made) => {
                match made {
                    Some(_) if self.there.contains(&name) => {}
                    Some(made) => {
                        let chosen = ["uuid", "mac", "pf", "socket"]
                            .map(|key| (key.to_owned(), made[key].clone()));
                        self.judge.chosen(&name, &chosen.into_iter().collect());
                        self.there.insert(name.clone());
                    }
                    None => drop(self.there.remove(&name)),
                }
                self.judge.acknowledged(&name);
            }
            Event::Change(name, becomes) => self.judge.begun(&name, Some(becomes)),
            Event::Changed(name) => self.judge.acknowledged(&name),
            Event::Refused(name) => self.judge.refused(&name),
        }
    }
}
