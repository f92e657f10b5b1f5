//! The standard interfaces (D-Bus specification, "Standard Interfaces").

use std::collections::HashMap;

use zbus::Message;
use zbus::zvariant::ObjectPath;

use super::super::convert::Dict;
use super::PEER;
use super::face::{Call, Face, Interfaces};
use super::fault::Fault;
use super::introspect;
use super::objects;
use super::path::{Level, Object, Place};

/// `org.freedesktop.DBus.Peer`.
pub(super) async fn peer(call: &Call<'_>) -> Result<Message, Fault> {
    match call.member {
        "Ping" => call.reply(&()),
        "GetMachineId" => {
            let read = tokio::task::spawn_blocking(|| {
                let found = ["/etc/machine-id", "/var/lib/dbus/machine-id"];
                let mut ids = found
                    .into_iter()
                    .filter_map(|path| std::fs::read_to_string(path).ok());
                ids.next()
            });
            let id = read.await.ok().flatten();
            let id = id.ok_or_else(|| Fault::failed("this machine has no id"))?;
            call.reply(&id.trim())
        }
        _ => Err(call.unknown_method(PEER)),
    }
}

/// `org.freedesktop.DBus.Introspectable`.
pub(super) fn introspect(face: &Face, call: &Call<'_>, place: &Place) -> Result<Message, Fault> {
    if call.member != "Introspect" {
        return Err(call.unknown_method(super::INTROSPECTABLE));
    }
    let xml = {
        let objects = face.objects.lock();
        let below = |object: &&Object| match place {
            Place::Above(Level::Devices) => matches!(object, Object::Device(_)),
            Place::Above(Level::Pfs) => matches!(object, Object::Pf(_)),
            Place::Above(Level::Jobs) => matches!(object, Object::Job(_)),
            _ => false,
        };
        let children: Vec<&Object> = objects
            .iter()
            .map(|(object, _)| object)
            .filter(below)
            .collect();
        introspect::document(place, &face.manager, &children)
    };
    call.reply(&xml)
}

/// `org.freedesktop.DBus.Properties`. All properties are read-only: methods change what they show.
pub(super) fn properties(face: &Face, call: &Call<'_>, place: &Place) -> Result<Message, Fault> {
    match call.member {
        "Get" => {
            let (interface, name): (String, String) = call.args()?;
            let all = of(face, place, &interface)?;
            let value = all.get(&name).ok_or_else(|| unknown(&interface, &name))?;
            call.reply(value)
        }
        "GetAll" => {
            let interface: String = call.args()?;
            call.reply(&of(face, place, &interface)?)
        }
        "Set" => {
            let (interface, name, _): (String, String, zbus::zvariant::OwnedValue) = call.args()?;
            of(face, place, &interface)?
                .get(&name)
                .ok_or_else(|| unknown(&interface, &name))?;
            Err(Fault::read_only(format!(
                "{name} cannot be written; call io.mdevd1.Device.Set"
            )))
        }
        _ => Err(call.unknown_method(super::PROPERTIES)),
    }
}

fn unknown(interface: &str, name: &str) -> Fault {
    Fault::unknown_property(format!("{interface} has no property '{name}'"))
}

/// Properties of one interface; those of the standard ones are none.
fn of(face: &Face, place: &Place, interface: &str) -> Result<Dict, Fault> {
    if let Place::Object(object) = place
        && (interface == object.interface() || interface.is_empty())
    {
        let objects = face.objects.lock();
        let found = objects.get(object);
        return found
            .map(objects::clone)
            .ok_or_else(|| Fault::unknown_object("it is no more"));
    }
    match interface {
        "" | super::PROPERTIES | super::INTROSPECTABLE | PEER => Ok(Dict::new()),
        super::OBJECT_MANAGER if *place == Place::Above(Level::Root) => Ok(Dict::new()),
        _ => Err(Fault::unknown_interface(format!(
            "there is no interface {interface} here"
        ))),
    }
}

/// `org.freedesktop.DBus.ObjectManager`.
pub(super) fn managed_objects(face: &Face, call: &Call<'_>) -> Result<Message, Fault> {
    if call.member != "GetManagedObjects" {
        return Err(call.unknown_method(super::OBJECT_MANAGER));
    }
    let objects = face.objects.lock();
    let mut all: HashMap<ObjectPath<'_>, Interfaces<'_>> = HashMap::new();
    for (object, properties) in objects.iter() {
        let path = ObjectPath::try_from(object.path())
            .map_err(|error| Fault::failed(format!("an object has no path: {error}")))?;
        all.insert(path, HashMap::from([(object.interface(), properties)]));
    }
    call.reply(&all)
}
