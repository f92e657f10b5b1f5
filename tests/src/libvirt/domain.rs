//! A domain of the lab: its guest is the lab's, its network devices are mdevd's.

use crate::lab::Lab;
use crate::vm::VmConfig;
use lab_guest::wire::PORT_NAME;
use std::path::{Path, PathBuf};

/// What a domain is made of.
#[derive(Clone)]
pub struct Domain {
    /// Its name.
    pub name: String,
    /// Elements of the hook's own in its metadata.
    pub cvfs: String,
    /// The hook insists on the guard against migration.
    pub guarded: bool,
    /// Its memory's backing.
    pub memory: String,
    /// What is given to QEMU directly, as `<qemu:arg>` elements.
    pub arguments: String,
    kernel: PathBuf,
    image: PathBuf,
    words: String,
}

impl Domain {
    /// A domain with shared memory and these elements and arguments.
    #[must_use]
    pub fn new(lab: &Lab, name: &str, cvfs: &str, arguments: &str) -> Self {
        Domain {
            name: name.to_owned(),
            cvfs: cvfs.to_owned(),
            guarded: true,
            memory: "<source type='memfd'/><access mode='shared'/>".to_owned(),
            arguments: arguments.to_owned(),
            kernel: lab.tree().kernel().image(),
            image: lab.image().to_owned(),
            words: VmConfig::new(name).kernel_command_line(),
        }
    }

    /// Where QEMU will listen for whoever talks to the guest's agent.
    #[must_use]
    pub fn agent(&self, share: &Path) -> PathBuf {
        share.join(format!("{}.agent", self.name))
    }

    /// The domain in libvirt's words.
    #[must_use]
    pub fn xml(&self, share: &Path) -> String {
        let Domain {
            name,
            cvfs,
            guarded,
            memory,
            arguments,
            kernel,
            image,
            words,
        } = self;
        let (kernel, image) = (kernel.display(), image.display());
        let guard = if *guarded { "on" } else { "off" };
        let console = share.join(format!("{name}.console"));
        let (console, agent) = (console.display(), self.agent(share).display().to_string());
        format!(
            "<domain type='qemu' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>
  <name>{name}</name>
  <metadata>
    <mdevd:devices guard='{guard}' xmlns:mdevd='urn:mdevd:libvirt:1'>{cvfs}</mdevd:devices>
  </metadata>
  <memory unit='MiB'>320</memory>
  <memoryBacking>{memory}</memoryBacking>
  <vcpu>2</vcpu>
  <os>
    <type arch='x86_64' machine='q35'>hvm</type>
    <kernel>{kernel}</kernel>
    <initrd>{image}</initrd>
    <cmdline>{words}</cmdline>
  </os>
  <features><acpi/></features>
  <cpu mode='maximum'/>
  <devices>
    <emulator>/lab/qemu</emulator>
    <controller type='usb' model='none'/>
    <serial type='file'><source path='{console}'/></serial>
    <channel type='unix'>
      <source mode='bind' path='{agent}'/>
      <target type='virtio' name='{PORT_NAME}'/>
    </channel>
    <memballoon model='none'/>
  </devices>
  <qemu:commandline>
{arguments}
  </qemu:commandline>
</domain>
"
        )
    }
}
