//! What introspection says: the object's interfaces, and the names of what is directly below.
//!
//! Not the whole tree: with thousands of devices that would be megabytes for anybody who asks.

use zbus::object_server::Interface;

use super::super::manager::Manager;
use super::path::{Level, Object, Place, element};

const HEAD: &str = r#"<!DOCTYPE node PUBLIC "-//freedesktop//DTD D-BUS Object Introspection 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/introspect.dtd">
"#;
const STANDARD: &str = include_str!("standard.xml");
const OBJECT_MANAGER: &str = include_str!("object_manager.xml");
/// The shipped description of `io.mdevd1.Device`.
pub(super) const DEVICE: &str = include_str!("../../../../examples/dbus/io.mdevd1.Device.xml");
/// The shipped description of `io.mdevd1.Pf`.
pub(super) const PF: &str = include_str!("../../../../examples/dbus/io.mdevd1.Pf.xml");

/// The shipped description of `io.mdevd1.Job`.
pub(super) const JOB: &str = include_str!("../../../../examples/dbus/io.mdevd1.Job.xml");

/// The `<interface>` of a shipped file.
fn interface(file: &str) -> &str {
    const END: &str = "</interface>\n";
    let start = file.find("  <interface ").unwrap_or(file.len());
    let end = file.rfind(END).map_or(start, |at| at + END.len());
    &file[start..end]
}

/// The description of `io.mdevd1.Manager`, made from its code.
pub(super) fn manager_interface(manager: &Manager) -> String {
    let mut xml = String::new();
    manager.introspect_to_writer(&mut xml, 2);
    xml
}

/// The whole document for `place`, below which are `children`.
pub(super) fn document(place: &Place, manager: &Manager, children: &[&Object]) -> String {
    let mut xml = format!("{HEAD}<node>\n{STANDARD}");
    match place {
        Place::Object(Object::Manager) => xml.push_str(&manager_interface(manager)),
        Place::Object(Object::Device(_)) => xml.push_str(interface(DEVICE)),
        Place::Object(Object::Pf(_)) => xml.push_str(interface(PF)),
        Place::Object(Object::Job(_)) => xml.push_str(interface(JOB)),
        Place::Above(Level::Root) => xml.push_str(OBJECT_MANAGER),
        Place::Above(_) => {}
    }
    let fixed: &[&str] = match place {
        Place::Above(Level::Top) => &["io"],
        Place::Above(Level::Io) => &["mdevd1"],
        Place::Above(Level::Root) => &["Manager", "device", "job", "pf"],
        _ => &[],
    };
    for name in fixed {
        xml.push_str(&format!("  <node name=\"{name}\"/>\n"));
    }
    for object in children {
        let name = match object {
            Object::Device(name) | Object::Pf(name) => element(name),
            Object::Job(id) => id.to_string(),
            Object::Manager => continue,
        };
        xml.push_str(&format!("  <node name=\"{name}\"/>\n"));
    }
    xml.push_str("</node>\n");
    xml
}
