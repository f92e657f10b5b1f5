//! The daemon on a message bus: a real `dbus-daemon` at an address of the test's own.

mod support;

#[path = "system_bus/authority.rs"]
mod authority;
#[path = "system_bus/jobs.rs"]
mod jobs;
#[path = "system_bus/objects.rs"]
mod objects;
#[path = "system_bus/stay.rs"]
mod stay;
#[path = "system_bus/throughput.rs"]
mod throughput;

use std::collections::HashMap;
use std::time::Duration;

use zbus::Message;
use zbus::zvariant::{DynamicType, OwnedObjectPath, OwnedValue, Value};

const NAME: &str = "io.mdevd1";
const ROOT: &str = "/io/mdevd1";
const MANAGER: &str = "/io/mdevd1/Manager";
const MANAGER_INTERFACE: &str = "io.mdevd1.Manager";
const DEVICE_INTERFACE: &str = "io.mdevd1.Device";
const JOB_INTERFACE: &str = "io.mdevd1.Job";
const OBJECT_MANAGER: &str = "org.freedesktop.DBus.ObjectManager";
const PROPERTIES: &str = "org.freedesktop.DBus.Properties";
/// Until something that must come counts as not coming.
const PATIENCE: Duration = Duration::from_secs(20);

type Dict = HashMap<String, OwnedValue>;
type Managed = HashMap<OwnedObjectPath, HashMap<String, Dict>>;

fn none() -> HashMap<&'static str, Value<'static>> {
    HashMap::new()
}

fn device(name: &str) -> String {
    format!("/io/mdevd1/device/{name}")
}

async fn call<B>(
    bus: &zbus::Connection,
    path: &str,
    interface: &str,
    method: &str,
    body: &B,
) -> zbus::Result<Message>
where
    B: serde::Serialize + DynamicType,
{
    bus.call_method(Some(NAME), path, Some(interface), method, body)
        .await
}

async fn manager<B>(bus: &zbus::Connection, method: &str, body: &B) -> zbus::Result<Message>
where
    B: serde::Serialize + DynamicType,
{
    call(bus, MANAGER, MANAGER_INTERFACE, method, body).await
}

async fn managed(bus: &zbus::Connection) -> Managed {
    let reply = call(bus, ROOT, OBJECT_MANAGER, "GetManagedObjects", &()).await;
    let reply = reply.expect("answered");
    reply.body().deserialize().expect("a{oa{sa{sv}}}")
}

fn refusal(result: zbus::Result<Message>) -> (String, String) {
    match result {
        Err(zbus::Error::MethodError(name, text, _)) => {
            (name.to_string(), text.unwrap_or_default())
        }
        other => panic!("expected an error reply, got {other:?}"),
    }
}
