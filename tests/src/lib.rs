//! The lab: everything needed to try the project for real, in QEMU with stock guests.
//!
//! `cargo lab demo|test|bench|fuzz|shell` is its face; the modules below are what the verbs are
//! made of. From the host outwards: [`process`] and [`netns`] keep children and namespaces from
//! outliving a run, [`fetch`] and [`image`] make QEMU and guest, [`vm`] runs machines, [`daemon`]
//! runs mdevd, [`libvirt`] runs libvirtd, [`nested`] makes a host with physical functions of a machine,
//! [`traffic`] moves and counts frames, [`e2e`] is the list of end-to-end tests.

pub mod artifacts;
pub mod bench;
pub mod cleanup;
pub mod daemon;
pub mod e2e;
pub mod fakevm;
pub mod fetch;
pub mod host;
pub mod image;
pub mod lab;
pub mod libvirt;
pub mod limits;
pub mod nested;
pub mod netns;
pub mod process;
pub mod sys;
pub mod system;
pub mod traffic;
pub mod ui;
pub mod verbs;
pub mod vhost;
pub mod vm;
