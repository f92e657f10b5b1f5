//! What calls on the system bus are answered with.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;
use zbus::Message;
use zbus::message::{Flags, Header};
use zbus::names::UniqueName;
use zbus::zvariant::{DynamicDeserialize, DynamicType};

use super::super::convert::Dict;
use super::super::error::BusError;
use super::super::manager::Manager;
use super::authority::{Ask, Authority};
use super::fault::Fault;
use super::follow::Done;
use super::methods::{self, Method, Right};
use super::objects::Objects;
use super::path::{Level, Object, Place};
use super::{INTROSPECTABLE, OBJECT_MANAGER, PEER, PROPERTIES, standard};
use crate::engine::Engine;
use crate::limits::{CATCH_UP_DEADLINE, MAX_LARGE_ANSWERS, MAX_NAME};

/// The user of whom nobody asked who he is: (uid_t) -1, which is nobody's.
const NOBODY: u32 = u32::MAX;

/// Answers calls. Any number at a time.
pub(super) struct Face {
    pub(super) engine: Arc<dyn Engine>,
    pub(super) manager: Manager,
    pub(super) objects: Arc<Mutex<Objects>>,
    pub(super) authority: Authority,
    /// Numbers of the last event, and of the last news of a job, whose effects are to be seen on the bus.
    pub(super) done: Done,
    large: Semaphore,
}

/// A reply, and the right to be large until it is sent.
pub(super) struct Reply<'a> {
    pub(super) message: Message,
    _large: Option<SemaphorePermit<'a>>,
}

/// A call, taken apart.
pub(super) struct Call<'a> {
    pub(super) message: &'a Message,
    pub(super) header: &'a Header<'a>,
    pub(super) member: &'a str,
}

impl Call<'_> {
    /// Its arguments.
    pub(super) fn args<T>(&self) -> Result<T, Fault>
    where
        T: for<'d> DynamicDeserialize<'d>,
    {
        let body = self.message.body();
        let read: Result<T, _> = body.deserialize();
        read.map_err(|error| {
            let signature = body.signature().to_string();
            let member = self.member;
            Fault::invalid_args(format!(
                "the arguments of {member} are not ({signature}): {error}; see its introspection"
            ))
        })
    }

    /// What a call of the manager is about: the device that it names, or the daemon. Nobody is asked about what is too
    /// long for a name.
    fn about(&self) -> String {
        let named = |(name, _): (String, Dict)| Some(name).filter(|name| name.len() <= MAX_NAME);
        let name = (self.member != "Import")
            .then(|| self.args().ok().and_then(named))
            .flatten();
        name.unwrap_or_else(|| "the daemon".to_owned())
    }

    /// Who calls.
    fn sender(&self) -> Result<&UniqueName<'_>, Fault> {
        let sender = self.header.sender();
        sender.ok_or_else(|| Fault::failed("the bus does not say who is asking"))
    }

    pub(super) fn reply<B>(&self, body: &B) -> Result<Message, Fault>
    where
        B: serde::Serialize + DynamicType,
    {
        Ok(Message::method_return(self.header)?.build(body)?)
    }

    pub(super) fn unknown_method(&self, interface: &str) -> Fault {
        Fault::unknown_method(format!("{interface} has no method '{}'", self.member))
    }
}

impl Face {
    pub(super) fn new(
        engine: Arc<dyn Engine>,
        objects: Arc<Mutex<Objects>>,
        authority: Authority,
        done: Done,
    ) -> Self {
        Self {
            manager: Manager::new(engine.clone()),
            engine,
            objects,
            authority,
            done,
            large: Semaphore::new(MAX_LARGE_ANSWERS),
        }
    }

    /// Answers one call.
    pub(super) async fn answer(&self, message: &Message) -> Result<Reply<'_>, Fault> {
        let header = message.header();
        let (Some(path), Some(member)) = (header.path(), header.member()) else {
            return Err(Fault::invalid_args("a call names an object and a method"));
        };
        let (path, member) = (path.as_str(), member.as_str());
        let call = Call {
            message,
            header: &header,
            member,
        };
        let named = header.interface().map(|name| name.as_str().to_owned());
        // The Peer interface is everywhere (D-Bus specification, "Standard Interfaces").
        if named.as_deref() == Some(PEER) {
            return Ok(small(standard::peer(&call).await?));
        }
        let place = Place::of(path).filter(|place| self.exists(place));
        let place = place.ok_or_else(|| {
            Fault::unknown_object(format!(
                "there is no object {path}; it may have been destroyed"
            ))
        })?;
        let interface = match named {
            Some(interface) => interface,
            None => implied(&place, member)
                .ok_or_else(|| Fault::unknown_method(format!("{path} has no method '{member}'")))?
                .to_owned(),
        };
        let large = match (interface.as_str(), member) {
            (OBJECT_MANAGER | INTROSPECTABLE, _)
            | (
                _,
                "List" | "ListPfs" | "ListStats" | "ListJobs" | "JobResult" | "Result" | "Export",
            ) => Some(self.large.acquire().await.map_err(|_| closed())?),
            _ => None,
        };
        let message = match interface.as_str() {
            INTROSPECTABLE => standard::introspect(self, &call, &place)?,
            PROPERTIES => standard::properties(self, &call, &place)?,
            OBJECT_MANAGER if place == Place::Above(Level::Root) => {
                standard::managed_objects(self, &call)?
            }
            _ => match &place {
                Place::Object(object) if object.interface() == interface => {
                    self.ours(&call, object).await?
                }
                _ => {
                    let what = format!("{path} has no interface {interface}");
                    return Err(Fault::unknown_interface(what));
                }
            },
        };
        Ok(Reply {
            message,
            _large: large,
        })
    }

    fn exists(&self, place: &Place) -> bool {
        match place {
            Place::Above(_) => true,
            Place::Object(object) => self.objects.lock().get(object).is_some(),
        }
    }

    /// A method of ours. Whether its caller may is decided here, by the table, for all of them.
    async fn ours(&self, call: &Call<'_>, object: &Object) -> Result<Message, Fault> {
        let table: &[Method] = methods::of(object);
        let method = table.iter().find(|method| method.name == call.member);
        let method = method.ok_or_else(|| call.unknown_method(object.interface()))?;
        let uid = match (method.right, object) {
            (Right::Job, Object::Job(id)) => self.allow_to_end(call, *id).await?,
            (Right::Job, _) => {
                let (id, _): (u32, Dict) = call.args()?;
                self.allow_to_end(call, id).await?
            }
            (_, Object::Device(name)) => self.allow(call, method, name).await?,
            _ => self.allow(call, method, &call.about()).await?,
        };
        let reply = match object {
            Object::Manager => self.on_manager(call, method, uid).await,
            Object::Device(name) => {
                let options: Dict = call.args()?;
                self.on_device(call, method, (name.clone(), options, uid))
                    .await
            }
            Object::Pf(name) => {
                let options: Dict = call.args()?;
                call.reply(&self.manager.show_pf(name.clone(), options).await?)
            }
            Object::Job(id) => {
                let options: Dict = call.args()?;
                self.on_job(call, (*id, options)).await
            }
        };
        if method.right != Right::Read {
            self.caught_up().await;
        }
        reply
    }

    async fn on_manager(
        &self,
        call: &Call<'_>,
        method: &Method,
        uid: u32,
    ) -> Result<Message, Fault> {
        let manager = &self.manager;
        match method.name {
            "Create" | "Define" | "Import" => {
                let (argument, options): (String, Dict) = call.args()?;
                call.reply(&manager.command(method.name, argument, options, uid).await?)
            }
            "Destroy" | "DestroyAsJob" | "Undefine" | "Start" | "Stop" | "Set" | "Announce"
            | "TakeOver" | "Capture" | "Show" | "Stats" => {
                let (name, options): (String, Dict) = call.args()?;
                self.on_device(call, method, (name, options, uid)).await
            }
            "List" => {
                let (after, limit, options): (String, u32, Dict) = call.args()?;
                call.reply(&manager.list(after, limit, options).await?)
            }
            "Export" => {
                let (after, limit, options): (String, u32, Dict) = call.args()?;
                call.reply(&manager.export(after, limit, options).await?)
            }
            "ListJobs" => {
                let (after, limit, options): (u32, u32, Dict) = call.args()?;
                call.reply(&manager.list_jobs(after, limit, options).await?)
            }
            "ShowJob" | "JobResult" | "CancelJob" => self.on_job(call, call.args()?).await,
            "ListTypes" => call.reply(&manager.list_types(call.args()?).await?),
            "ListPfs" => call.reply(&manager.list_pfs(call.args()?).await?),
            "ShowPf" => {
                let (name, options): (String, Dict) = call.args()?;
                call.reply(&manager.show_pf(name, options).await?)
            }
            "ListStats" => {
                let (after, limit, options): (String, u32, Dict) = call.args()?;
                call.reply(&manager.list_stats(after, limit, options).await?)
            }
            "ListProfiles" => call.reply(&manager.list_profiles(call.args()?).await?),
            "ShowProfile" => {
                let (name, options): (String, Dict) = call.args()?;
                call.reply(&manager.show_profile(name, options).await?)
            }
            "Explain" => {
                let (request, options): (String, Dict) = call.args()?;
                call.reply(&manager.explain(request, options).await?)
            }
            "ReloadProfiles" => call.reply(&manager.reload_profiles(call.args()?).await?),
            "Reload" => call.reply(&manager.reload(call.args()?).await?),
            "Shutdown" => {
                let (outcome, stop) = manager.farewell(call.args()?).await?;
                let reply = call.reply(&outcome);
                stop.after_a_while();
                reply
            }
            "Version" => call.reply(&manager.version(call.args()?).await?),
            // Here signals go to whoever matches them.
            "Watch" => {
                let _: Dict = call.args()?;
                call.reply(&self.engine.events().last_sequence())
            }
            "Unwatch" => call.reply(&manager.unwatch(call.args()?).await?),
            _ => Err(call.unknown_method(super::super::MANAGER_INTERFACE)),
        }
    }

    /// What manager and device have in common: the manager's name the device.
    async fn on_device(
        &self,
        call: &Call<'_>,
        method: &Method,
        (name, options, uid): (String, Dict, u32),
    ) -> Result<Message, Fault> {
        let manager = &self.manager;
        match method.name {
            "Destroy" => {
                let done = manager.command("Destroy", name, options, uid).await;
                call.reply(&done.map(drop)?)
            }
            "DestroyAsJob" | "Undefine" | "Start" | "Stop" | "Set" => {
                call.reply(&manager.command(method.name, name, options, uid).await?)
            }
            "Announce" => call.reply(&manager.announce(name, options).await?),
            "TakeOver" => call.reply(&manager.take_over(name, options).await?),
            "Capture" => {
                let sender = call.header.sender().map(ToString::to_string);
                let sender = sender.unwrap_or_default();
                let by = format!("uid {uid} on the system bus ({sender})");
                call.reply(&manager.capture_for(name, options, by).await?)
            }
            "Show" => call.reply(&manager.show(name, options).await?),
            "Stats" => call.reply(&manager.stats(name, options).await?),
            _ => Err(call.unknown_method(super::DEVICE_INTERFACE)),
        }
    }

    /// What manager and job have in common: the manager's number the job.
    async fn on_job(&self, call: &Call<'_>, (id, options): (u32, Dict)) -> Result<Message, Fault> {
        let manager = &self.manager;
        match call.member {
            "ShowJob" | "Show" => call.reply(&manager.show_job(id, options).await?),
            "JobResult" | "Result" => call.reply(&manager.job_result(id, options).await?),
            "CancelJob" | "Cancel" => call.reply(&manager.cancel_job(id, options).await?),
            _ => Err(call.unknown_method(super::JOB_INTERFACE)),
        }
    }

    /// Lets a call pass; the user who asks, where that was a question.
    async fn allow(&self, call: &Call<'_>, method: &Method, name: &str) -> Result<u32, Fault> {
        let flags = call.header.primary().flags();
        let ask = Ask {
            sender: call.sender()?,
            interactive: flags.contains(Flags::AllowInteractiveAuth),
            method,
            name,
        };
        Ok(self.authority.allow(ask).await?.unwrap_or(NOBODY))
    }

    /// Lets a call that ends a job pass: it is its own user's, or of somebody who may do what the job does.
    async fn allow_to_end(&self, call: &Call<'_>, id: u32) -> Result<u32, Fault> {
        let job = self.engine.jobs().show(id).map_err(BusError::from)?;
        if self.authority.uid(call.sender()?).await == Some(job.uid) {
            return Ok(job.uid);
        }
        let method = Method {
            name: "CancelJob",
            right: methods::right_of(&job.method),
            verb: "cancel a job at",
            rule: "CancelJob",
        };
        self.allow(call, &method, &job.device).await
    }

    /// Waits until what has happened so far is to be seen in the objects.
    async fn caught_up(&self) {
        let last = (
            self.engine.events().last_sequence(),
            self.engine.jobs().last_sequence(),
        );
        let mut done = self.done.clone();
        let seen = done.wait_for(|done| done.0 >= last.0 && done.1 >= last.1);
        if timeout(CATCH_UP_DEADLINE, seen).await.is_err() {
            tracing::warn!("the objects on the system bus are behind what happens");
        }
    }
}

fn small(message: Message) -> Reply<'static> {
    Reply {
        message,
        _large: None,
    }
}

fn closed() -> Fault {
    Fault::failed("the daemon is stopping")
}

/// The interface of a method that is named without.
fn implied(place: &Place, member: &str) -> Option<&'static str> {
    if let Place::Object(object) = place {
        let table = methods::of(object);
        if table.iter().any(|method| method.name == member) {
            return Some(object.interface());
        }
    }
    match member {
        "Introspect" => Some(INTROSPECTABLE),
        "Get" | "GetAll" | "Set" => Some(PROPERTIES),
        "GetManagedObjects" => Some(OBJECT_MANAGER),
        _ => None,
    }
}

/// Properties of every interface of an object.
pub(super) type Interfaces<'a> = HashMap<&'a str, &'a Dict>;
