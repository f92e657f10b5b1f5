//! The machine: QEMU's side of it, the file system inside, and the ends of its wires.

use super::function::{Function, Model, device_id};
use super::limits::{BOOT, GUESTS, LOG, MAX_PAIRS, MEMORY_MIB};
use super::wire::{Listener, Packet, Wire};
use crate::lab::Lab;
use crate::netns::Netns;
use crate::vm::{Job, Memory, Vm, VmConfig};
use crate::{limits, process};
use anyhow::{Context, Result, anyhow, ensure};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Where the machine has this machine's file system. The same paths are there, and programs run in it by `chroot`.
pub const ROOT: &str = "/host";

/// What makes a host of the guest.
const FURNISH: &str = include_str!("furnish.sh");

/// What is at the other end of a function's wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outside {
    /// This process alone. QEMU has no back end of this kind with more than one queue pair.
    Process,
    /// A kernel in a network namespace, and this process listening in; takes root.
    Kernel {
        /// Queue pairs of the interface, and so of the function.
        pairs: u16,
    },
}

/// A function to be plugged in.
#[derive(Clone, Copy, Debug)]
pub struct Plug {
    /// What it is.
    pub model: Model,
    /// Where its wire leads.
    pub outside: Outside,
}

/// A function that the machine has, with the other end of its wire.
#[derive(Debug)]
pub struct Physical {
    /// Where the machine has it.
    pub function: Function,
    /// The other end.
    pub wire: Wire,
    /// Name of the interface outside, where a kernel is there.
    pub outside: Option<String>,
    /// QEMU's name of it.
    pub id: String,
}

/// The machine, up, with its functions in the hands of the kernel's own drivers.
pub struct Outer {
    /// The machine; lines are run as root in its initial file system, of which [`ROOT`] is a part.
    pub vm: Vm,
    /// This program as it is found inside, below [`ROOT`].
    pub program: PathBuf,
    /// Sockets that lead to the agents of guests inside.
    channels: Vec<PathBuf>,
    /// The namespace with the other ends, where there is a kernel.
    pub netns: Option<Netns>,
    /// From QEMU's start to the agent's greeting.
    pub booted: Duration,
    /// From there to programs of this machine running inside.
    pub furnished: Duration,
}

/// Before QEMU has connected its end.
enum Waiting {
    Stream(Listener),
    Interface(String),
}

impl Outer {
    /// Boots a machine with these functions; they come in the order of `plugs`.
    ///
    /// # Errors
    /// If it does not come up as a host; what was attempted and the console's end are in the message.
    pub fn boot(lab: &Lab, plugs: &[Plug]) -> Result<(Self, Vec<Physical>)> {
        let kernel = |plug: &Plug| matches!(plug.outside, Outside::Kernel { .. });
        let netns = plugs.iter().any(kernel).then(|| Netns::new(lab.tree()));
        let netns = netns.transpose()?;
        let mut config = VmConfig::new("outer").memory(Memory::Anonymous);
        config.memory_mib = MEMORY_MIB;
        config.iommu = true;
        config.boot_limit = BOOT;
        // The kernel's own drivers need no translation of theirs; VFIO has its domains all the same.
        config.kernel_words = "iommu=pt".into();
        config.more = vec![
            "-fsdev".into(),
            "local,id=host,path=/,security_model=none,readonly=on,multidevs=remap".into(),
            "-device".into(),
            "virtio-9p-pci,fsdev=host,mount_tag=host".into(),
        ];
        let channels = channels(&mut config, lab);
        let mut waiting = Vec::new();
        for (number, plug) in plugs.iter().enumerate() {
            let end = plug_in(&mut config, lab, number, plug)
                .with_context(|| format!("plug in function {number}, {}", plug.model.name()))?;
            waiting.push(end);
        }
        let begun = Instant::now();
        let vm = Vm::start_in(lab, config, netns.as_ref())?;
        vm.ready()?;
        let booted = begun.elapsed();
        let program = own_program(lab)?;
        furnish(&vm).context("make a host of the machine")?;
        let outer = Outer {
            vm,
            program,
            channels,
            netns,
            booted,
            furnished: begun.elapsed() - booted,
        };
        let mut physical = Vec::new();
        for (number, (end, plug)) in waiting.into_iter().zip(plugs).enumerate() {
            let ready = outer.physical(end, plug.model, device_id(&bus(number)));
            physical.push(ready.map_err(|error| outer.explain("find the functions", &error))?);
        }
        Ok((outer, physical))
    }

    fn physical(&self, end: Waiting, model: Model, id: String) -> Result<Physical> {
        let function = Function::find(&self.vm, model)?;
        let (wire, outside) = match end {
            Waiting::Stream(listener) => (Wire::stream(model.name(), listener.accept()?), None),
            Waiting::Interface(name) => {
                let netns = self.netns.as_ref().context("a namespace")?;
                netns.wait_for_link(&name)?;
                netns.ip(&format!("link set {name} up"))?;
                let packet = Packet::open(netns, &name)?;
                (Wire::packet(model.name(), packet), Some(name))
            }
        };
        Ok(Physical {
            function,
            wire,
            outside,
            id,
        })
    }

    /// Starts a program of this machine inside, on its path here.
    ///
    /// # Errors
    /// If the machine cannot be reached.
    pub fn start(&self, argv: &[&str], limit: Duration) -> Result<Job> {
        let whole = [&["chroot", ROOT], argv].concat();
        self.vm.agent.start(&whole, limit)
    }

    /// Runs a program of this machine inside, which must succeed; its standard output.
    ///
    /// # Errors
    /// If it fails; what it said is in the message.
    pub fn run(&self, argv: &[&str]) -> Result<String> {
        self.start(argv, limits::GUEST_COMMAND)?.check()
    }

    /// The channel that guest `number` inside has to its agent, and the device that is its other end there.
    ///
    /// # Errors
    /// If there is none.
    pub fn channel(&self, number: usize) -> Result<(UnixStream, String)> {
        let path = self.channels.get(number);
        let path = path.with_context(|| format!("guest {number} of {GUESTS}"))?;
        let stream =
            UnixStream::connect(path).with_context(|| format!("connect to {}", path.display()))?;
        let name = port(number);
        let device = self.vm.run(&format!(
            "for d in /sys/class/virtio-ports/*; do \
             [ \"$(cat $d/name)\" != {name} ] || echo /dev/$(basename $d); done"
        ))?;
        ensure!(!device.is_empty(), "no port {name} in the machine");
        Ok((stream, device))
    }

    /// Gives an interface no address and a link, and waits for its carrier.
    ///
    /// # Errors
    /// If there is none in time.
    pub fn bring_up(&self, interface: &str) -> Result<()> {
        self.vm
            .run(&format!(
                "ip link set {interface} up && \
                 n=0; until [ \"$(cat /sys/class/net/{interface}/carrier)\" = 1 ]; do n=$((n+1)); \
                 [ $n -lt 1000 ] || {{ echo 'no carrier on {interface}' >&2; exit 1; }}; usleep 10000; done"
            ))
            .map(drop)
            .with_context(|| format!("bring up {interface}"))
    }

    /// What the machine's kernel has said of accesses that its IOMMU refused, a line each; VFIO tells nobody else.
    ///
    /// # Errors
    /// If it cannot be asked.
    pub fn dma_faults(&self) -> Result<Vec<String>> {
        let said = self.vm.run("dmesg | grep 'DMAR: .*fault addr' || true")?;
        Ok(said.lines().map(str::to_owned).collect())
    }

    /// Adds what was attempted and what the machine has said last to an error.
    pub fn explain(&self, attempted: &str, error: &anyhow::Error) -> anyhow::Error {
        let mut text = format!("{attempted}: {error:#}");
        // Its kernel's log has more than its console, while somebody is there who can be asked.
        let log = format!("dmesg | tail -n {}", limits::LOG_TAIL);
        let kernel = self
            .vm
            .agent
            .start(&["sh", "-c", &log], LOG)
            .and_then(Job::wait);
        let kernel = kernel.map(|said| said.stdout).unwrap_or_default();
        let said = [
            ("kernel", kernel),
            ("console", self.vm.console()),
            ("QEMU", self.vm.qemu_log()),
        ];
        for (who, said) in said {
            // Whoever has added something to the error before may have asked already.
            if ["said last", "has said nothing"]
                .iter()
                .any(|words| text.contains(&format!("{who} {words}")))
            {
                continue;
            }
            text.push_str(&match said.trim() {
                "" => format!("\n  {who} has said nothing"),
                said => format!("\n  {who} said last:\n{}", process::last_lines(said)),
            });
        }
        anyhow!(text)
    }
}

/// QEMU's name of the port that a function is at.
fn bus(number: usize) -> String {
    format!("pf{number}")
}

/// Name of the port of guest `number` inside.
fn port(number: usize) -> String {
    format!("lab.inner{number}")
}

/// Tells QEMU of a port for each guest inside; the sockets that lead there.
fn channels(config: &mut VmConfig, lab: &Lab) -> Vec<PathBuf> {
    // Port 0 is a console's.
    let ports = GUESTS + 1;
    let bus = format!("virtio-serial-pci,id=inner,max_ports={ports}");
    config.more.extend(["-device".into(), bus]);
    let channel = |number: usize| {
        let (id, name) = (format!("inner{number}"), port(number));
        let path = lab.dir().join(format!("{id}.sock"));
        let shown = path.display();
        config.more.extend([
            "-chardev".into(),
            format!("socket,id={id},path={shown},server=on,wait=off"),
            "-device".into(),
            format!("virtserialport,bus=inner.0,chardev={id},name={name}"),
        ]);
        path
    };
    (0..GUESTS).map(channel).collect()
}

/// Tells QEMU of one function and its wire.
fn plug_in(config: &mut VmConfig, lab: &Lab, number: usize, plug: &Plug) -> Result<Waiting> {
    let (bus, id) = (bus(number), format!("wire{number}"));
    let (netdev, pairs, end) = match plug.outside {
        Outside::Process => {
            let listener = Listener::bind(&lab.dir().join(format!("{id}.sock")))?;
            (listener.netdev(&id), 1, Waiting::Stream(listener))
        }
        Outside::Kernel { pairs } => {
            let name = format!("out{number}");
            (tap(&id, &name, pairs)?, pairs, Waiting::Interface(name))
        }
    };
    config.more.extend(["-netdev".into(), netdev]);
    // A port of its own, with ACS, makes a group of its own.
    let slot = 16 + number;
    let port = format!("pcie-root-port,id={bus},chassis={slot},slot={slot}");
    let mac = format!("02:00:00:00:01:{number:02x}");
    config.devices.push(port);
    config
        .devices
        .push(plug.model.device(&bus, &id, &mac, pairs));
    Ok(end)
}

/// QEMU's words for a wire that is an interface.
fn tap(id: &str, name: &str, pairs: u16) -> Result<String> {
    ensure!(
        (1..=MAX_PAIRS).contains(&pairs),
        "{pairs} queue pairs; 1 to {MAX_PAIRS} can be had"
    );
    Ok(format!(
        "tap,id={id},ifname={name},script=no,downscript=no,queues={pairs}"
    ))
}

/// A copy of this program at a path that nobody builds over.
fn own_program(lab: &Lab) -> Result<PathBuf> {
    let copy = lab.dir().join("lab");
    if !copy.exists() {
        let own = "/proc/self/exe";
        fs::copy(own, &copy).with_context(|| format!("copy {own} to {}", copy.display()))?;
        fs::set_permissions(&copy, fs::Permissions::from_mode(0o755))?;
    }
    Ok(copy)
}

fn furnish(vm: &Vm) -> Result<()> {
    let script = vm.agent.start(
        &["sh", "-c", FURNISH, "furnish", ROOT],
        limits::GUEST_COMMAND,
    )?;
    let said = vm.explained(script.wait())?;
    let ended = said.outcome;
    ensure!(
        ended == lab_guest::wire::Outcome::Exit(0),
        "{ended:?}: {}{}",
        said.stdout,
        said.stderr
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wire_has_one_queue_pair_or_as_many_as_are_allowed() {
        for pairs in [1, MAX_PAIRS] {
            let words = tap("w", "out0", pairs).unwrap();
            assert!(words.ends_with(&format!(",queues={pairs}")), "{words}");
        }
        for refused in [0, MAX_PAIRS + 1] {
            let error = tap("w", "out0", refused).unwrap_err().to_string();
            assert!(error.contains("queue pairs"), "{error}");
        }
    }
}
