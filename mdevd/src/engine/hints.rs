//! What a VM needs to use a device: QEMU arguments, libvirt XML, and words of warning.

use std::path::Path;

use libcvf::cvf::Model;
use libcvf::personality::virtio_net::feature_names;
use serde_json::json;

use super::definition::{DataPath, Definition, Doorbells, Interrupts, Personality, Word};
use super::view::DeviceView;
use crate::limits::MAX_MEMORY_DIGITS;
use crate::text::{shell_word, xml_escape};

/// The device's id in QEMU.
pub fn qemu_id(name: &str) -> String {
    // A QEMU id starts with a letter, a name may start with a digit.
    format!("cvf-{name}")
}

/// Text of QEMU's `-device` option; also what QMP `device_add` takes as arguments.
pub fn qemu_device(name: &str, socket: &str, bus: Option<&str>) -> String {
    let mut device = json!({
        "driver": "vfio-user-pci",
        "id": qemu_id(name),
        "socket": { "type": "unix", "path": socket },
    });
    if let (Some(bus), Some(map)) = (bus, device.as_object_mut()) {
        map.insert("bus".to_owned(), json!(bus));
    }
    device.to_string()
}

/// What the operator should know about a choice made at create.
pub fn notes(definition: &Definition) -> Vec<String> {
    let mut notes = Vec::new();
    let direct = definition.data_path == DataPath::Direct;
    if direct {
        let pf = &definition.pf;
        notes.push(format!(
            "hardware works its rings: its VM gets the descriptor of the whole function behind PF '{pf}', which reaches \
             configuration space, every BAR and reset; trust the VMM and the VM with all of that"
        ));
        notes.push(format!(
            "PF '{pf}' is this device's alone while it runs; no frame passes the daemon, so senders are not checked, and \
             nothing is limited, counted or captured"
        ));
    }
    if definition.doorbells == Doorbells::Mapped && !direct {
        notes.push(
            "doorbells are mapped: while a guest's driver runs, a worker polls for this device and \
             keeps one core busy, idle or not (trapped doorbells let it sleep)"
                .to_owned(),
        );
    }
    if definition.interrupts == Interrupts::Msix {
        let instead = match definition.personality {
            Personality::VirtioNet => "create with --interrupts intx",
            Personality::Avf => "take personality virtio-net with --interrupts intx",
        };
        notes.push(format!(
            "QEMU up to 11.1.3 aborts when a vfio-user device with MSI-X is hot-unplugged; {instead} for a VM that must unplug \
             it"
        ));
    }
    notes.extend(without_meaning(definition));
    notes
}

/// Features that the operator withholds and that the device's driver has in any case, under no name that it knows.
pub fn without_meaning(definition: &Definition) -> Option<String> {
    let model = Model::from(definition.personality);
    let names = feature_names(definition.tuning.withheld() & !model.maskable());
    let known = feature_names(model.maskable()).join(", ");
    let (personality, names) = (definition.personality.word(), names.join(", "));
    (!names.is_empty()).then(|| {
        format!(
            "withholding {names} changes nothing for personality '{personality}', whose driver has what it has in any case; \
             {known} can be withheld"
        )
    })
}

/// A block device that is plugged into nothing, and whose format has QEMU refuse to migrate and to save: QEMU itself
/// does not know that it would lose these devices' state. The refusal names the node.
const GUARD_NODE: &str = "mdevd-devices-cannot-migrate";

/// Where its file is installed.
pub const GUARD_FILE: &str = "/usr/share/mdevd/no-migration.vmdk";

/// Value of the `-blockdev` option that has QEMU refuse to migrate and to save.
pub fn guard() -> String {
    json!({
        "driver": "vmdk",
        "node-name": GUARD_NODE,
        "read-only": true,
        "file": { "driver": "file", "filename": GUARD_FILE },
    })
    .to_string()
}

/// A warning that belongs to every running VM with such a device.
pub const MIGRATE_NOTE: &str = "QEMU 11.1.3 lets 'migrate' (and libvirt's 'save') succeed without carrying any \
     state of this device; give it the -blockdev of the operator's guide, and it refuses";

/// Chassis numbers of the devices' root ports, each once in a VM: libvirt and people count up from 1, so
/// these are in the upper half.
fn chassis(views: &[DeviceView]) -> Vec<u64> {
    let mut taken = Vec::new();
    for view in views {
        let number = (view.sequence..)
            .map(|n| 128 + n % 127)
            .take(127)
            .find(|number| !taken.contains(number));
        taken.push(number.unwrap_or(128));
    }
    taken
}

fn port_id(name: &str) -> String {
    format!("rp-{}", qemu_id(name))
}

/// A root port as people write it.
fn plain_port(id: &str, chassis: u64) -> String {
    format!("pcie-root-port,id={id},chassis={chassis}")
}

/// A root port beside libvirt's devices, which are written as JSON. QEMU makes what is not JSON first; such a port
/// would take the slot that libvirt has given to a device of its own.
fn libvirt_port(id: &str, chassis: u64) -> String {
    json!({ "driver": "pcie-root-port", "id": id, "chassis": chassis }).to_string()
}

/// Values of the `-device` options of these devices and the ports they are in.
fn device_options(views: &[DeviceView], write: fn(&str, u64) -> String) -> Vec<String> {
    let both = |(view, chassis): (&DeviceView, u64)| {
        let (name, socket) = (&view.summary.name, &view.summary.socket);
        let port = port_id(name);
        let device = qemu_device(name, socket, Some(&port));
        [write(&port, chassis), device]
    };
    views.iter().zip(chassis(views)).flat_map(both).collect()
}

/// A size as QEMU takes it everywhere: decimal digits and K, M, G or T. Without a letter QEMU means mebibytes in
/// one place and bytes in another.
///
/// # Errors
/// A sentence.
pub fn check_memory(size: &str) -> Result<&str, String> {
    let digits = size.strip_suffix(['K', 'M', 'G', 'T']).unwrap_or("");
    let positive = digits.bytes().any(|b| b != b'0');
    if (1..=MAX_MEMORY_DIGITS).contains(&digits.len())
        && digits.bytes().all(|b| b.is_ascii_digit())
        && positive
    {
        Ok(size)
    } else {
        Err(format!(
            "memory size '{size}' cannot be: write a number with K, M, G or T, as in 2G"
        ))
    }
}

fn qemu_options(views: &[DeviceView], memory: &str) -> Vec<(&'static str, String)> {
    let machine = [
        ("-machine", "q35,memory-backend=mem0".to_owned()),
        ("-m", memory.to_owned()),
        (
            "-object",
            format!("memory-backend-memfd,id=mem0,size={memory},share=on"),
        ),
    ];
    let devices = device_options(views, plain_port).into_iter();
    let guard = Path::new(GUARD_FILE)
        .is_file()
        .then(|| ("-blockdev", guard()));
    machine
        .into_iter()
        .chain(devices.map(|value| ("-device", value)))
        .chain(guard)
        .collect()
}

/// All QEMU arguments that a VM with these devices needs; where its file is installed, with the guard against
/// migration.
pub fn qemu_arguments(views: &[DeviceView], memory: &str) -> Vec<String> {
    let options = qemu_options(views, memory).into_iter();
    options
        .flat_map(|(option, value)| [option.to_owned(), value])
        .collect()
}

/// The same, one option a line, for a shell.
pub fn qemu_command_line(views: &[DeviceView], memory: &str) -> String {
    let options = qemu_options(views, memory).into_iter();
    let lines: Vec<_> = options
        .map(|(option, value)| format!("{option} {}", shell_word(&value)))
        .collect();
    lines.join(" \\\n")
}

/// The parts of a libvirt domain that a VM with these devices needs.
pub fn libvirt_xml(views: &[DeviceView]) -> String {
    let argument = |arg: &str| format!("    <qemu:arg value='{}'/>\n", xml_escape(arg));
    let args: String = device_options(views, libvirt_port)
        .iter()
        .map(|value| ("-device", value))
        .chain([("-blockdev", &guard())])
        .flat_map(|(option, value)| [argument(option), argument(value)])
        .collect();
    let cvfs: String = views
        .iter()
        .map(|view| {
            let name = xml_escape(&view.summary.name);
            format!("      <mdevd:cvf name='{name}' managed='no'/>\n")
        })
        .collect();
    format!(
        "<!-- Merge into the domain: the namespace of its first line, metadata, memoryBacking, and the command \
         line, whose blockdev has QEMU refuse to migrate what it would lose ({GUARD_FILE} must be installed). The \
         metadata is for mdevd's hook; without managed='no' the hook makes the devices at the domain's start and \
         takes them away at its end. -->\n\
         <domain type='kvm' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>\n\
         \x20 <metadata>\n\
         \x20   <mdevd:devices xmlns:mdevd='urn:mdevd:libvirt:1'>\n\
         {cvfs}\
         \x20   </mdevd:devices>\n\
         \x20 </metadata>\n\
         \x20 <memoryBacking>\n\
         \x20   <source type='memfd'/>\n\
         \x20   <access mode='shared'/>\n\
         \x20 </memoryBacking>\n\
         \x20 <os>\n\
         \x20   <type arch='x86_64' machine='q35'>hvm</type>\n\
         \x20 </os>\n\
         \x20 <qemu:commandline>\n\
         {args}\
         \x20 </qemu:commandline>\n\
         </domain>"
    )
}
