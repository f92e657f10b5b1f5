//! Object paths and the names behind them.

/// Where `org.freedesktop.DBus.ObjectManager` is, and below which everything is.
pub(super) const ROOT: &str = "/io/mdevd1";
const DEVICES: &str = "/io/mdevd1/device";
const PFS: &str = "/io/mdevd1/pf";
const JOBS: &str = super::super::JOBS_PATH;

/// An object of its own.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Object {
    Manager,
    Pf(String),
    Device(String),
    Job(u32),
}

/// What a path leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Object(Object),
    /// A place that only has others below it.
    Above(Level),
}

/// Places that only have others below them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Level {
    /// `/`
    Top,
    /// `/io`
    Io,
    /// [`ROOT`]
    Root,
    Devices,
    Pfs,
    Jobs,
}

impl Object {
    pub(super) fn path(&self) -> String {
        match self {
            Self::Manager => super::super::MANAGER_PATH.to_owned(),
            Self::Pf(name) => format!("{PFS}/{}", element(name)),
            Self::Device(name) => format!("{DEVICES}/{}", element(name)),
            Self::Job(id) => super::super::commands::job_path(*id),
        }
    }

    /// Its one interface of ours.
    pub(super) const fn interface(&self) -> &'static str {
        match self {
            Self::Manager => super::super::MANAGER_INTERFACE,
            Self::Pf(_) => super::PF_INTERFACE,
            Self::Device(_) => super::DEVICE_INTERFACE,
            Self::Job(_) => super::JOB_INTERFACE,
        }
    }
}

impl Place {
    /// Where `path` leads; whether an object of that name exists is another question.
    pub(super) fn of(path: &str) -> Option<Self> {
        let level = match path {
            "/" => Level::Top,
            "/io" => Level::Io,
            ROOT => Level::Root,
            DEVICES => Level::Devices,
            PFS => Level::Pfs,
            JOBS => Level::Jobs,
            super::super::MANAGER_PATH => return Some(Self::Object(Object::Manager)),
            _ => {
                let (above, last) = path.rsplit_once('/')?;
                if above == JOBS {
                    let id = last.parse().ok()?;
                    let job = Object::Job(id);
                    return (job.path() == path).then_some(Self::Object(job));
                }
                let name = name(last)?;
                return match above {
                    DEVICES => Some(Self::Object(Object::Device(name))),
                    PFS => Some(Self::Object(Object::Pf(name))),
                    _ => None,
                };
            }
        };
        Some(Self::Above(level))
    }
}

/// A name as an element of a path: what is neither letter nor digit becomes `_` and two hexadecimal digits.
pub(super) fn element(name: &str) -> String {
    let mut element = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() {
            element.push(char::from(byte));
        } else {
            element.push_str(&format!("_{byte:02x}"));
        }
    }
    element
}

/// The name behind an element; `None`: [`element`] makes no such thing.
pub(super) fn name(element: &str) -> Option<String> {
    let mut bytes = element.bytes();
    let mut name = Vec::with_capacity(element.len());
    while let Some(byte) = bytes.next() {
        name.push(match byte {
            b'_' => {
                let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
                let (high, low) = (digit(bytes.next())?, digit(bytes.next())?);
                u8::try_from(high * 16 + low).ok()?
            }
            byte => byte,
        });
    }
    let name = String::from_utf8(name).ok()?;
    // One object has one path.
    (!name.is_empty() && self::element(&name) == element).then_some(name)
}
