//! Who may do what, with and without polkit.

use std::io::Read;
use std::sync::{Arc, Mutex};

use zbus::connection::Builder;
use zbus::interface;
use zbus::zvariant::OwnedFd;

use super::support::House;
use super::support::bus::{Bus, can_run};
use super::*;

/// How the stand-in for polkit answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    Yes,
    No,
    /// A person would have to be asked.
    Challenge,
    Never,
}

/// What it was asked.
#[derive(Clone, Debug)]
struct Asked {
    sender: String,
    action: String,
    details: HashMap<String, String>,
    flags: u32,
}

#[derive(Clone)]
struct Polkit(Arc<Mutex<(Answer, Vec<Asked>)>>);

#[interface(name = "org.freedesktop.PolicyKit1.Authority")]
impl Polkit {
    async fn check_authorization(
        &self,
        subject: (String, HashMap<String, OwnedValue>),
        action: String,
        details: HashMap<String, String>,
        flags: u32,
        _cancellation: String,
    ) -> ((bool, bool, HashMap<String, String>),) {
        assert_eq!(subject.0, "system-bus-name");
        let sender = subject.1["name"].try_clone().expect("copied");
        let answer = {
            let mut state = self.0.lock().expect("no panic");
            state.1.push(Asked {
                sender: String::try_from(sender).expect("a name"),
                action,
                details,
                flags,
            });
            state.0
        };
        if answer == Answer::Never {
            std::future::pending::<()>().await;
        }
        let (yes, challenge) = (answer == Answer::Yes, answer == Answer::Challenge);
        ((yes, challenge, HashMap::new()),)
    }
}

impl Polkit {
    async fn on(bus: &Bus) -> (Self, zbus::Connection) {
        let polkit = Self(Arc::new(Mutex::new((Answer::No, Vec::new()))));
        let connection = Builder::address(bus.address().as_str())
            .and_then(|builder| builder.name("org.freedesktop.PolicyKit1"))
            .and_then(|builder| {
                builder.serve_at("/org/freedesktop/PolicyKit1/Authority", polkit.clone())
            })
            .expect("a service")
            .build()
            .await
            .expect("on the bus");
        (polkit, connection)
    }

    fn answers(&self, answer: Answer) {
        self.0.lock().expect("no panic").0 = answer;
    }

    fn asked(&self) -> Vec<Asked> {
        std::mem::take(&mut self.0.lock().expect("no panic").1)
    }
}

const CREATE: [&str; 8] = [
    "call",
    NAME,
    MANAGER,
    MANAGER_INTERFACE,
    "Create",
    "sa{sv}",
    "vm1",
    "0",
];
const DESTROY: [&str; 7] = [
    "call",
    NAME,
    "/io/mdevd1/device/vm1",
    DEVICE_INTERFACE,
    "Destroy",
    "a{sv}",
    "0",
];
const CAPTURE: [&str; 7] = [
    "call",
    NAME,
    "/io/mdevd1/device/vm1",
    DEVICE_INTERFACE,
    "Capture",
    "a{sv}",
    "0",
];
const RELOAD: [&str; 7] = [
    "call",
    NAME,
    MANAGER,
    MANAGER_INTERFACE,
    "ReloadProfiles",
    "a{sv}",
    "0",
];
const LIST: [&str; 9] = [
    "call",
    NAME,
    MANAGER,
    MANAGER_INTERFACE,
    "List",
    "sua{sv}",
    "",
    "10",
    "0",
];

/// Everything that writes is refused to nobody, naming `reason`; everything that reads works.
fn reads_only(bus: &Bus, groups: &str, reason: &str) {
    for call in [CREATE.as_slice(), &DESTROY, &RELOAD] {
        let said = bus.as_nobody(groups, call);
        assert_ne!(said.code, 0, "{said:?}");
        assert!(said.err.contains(reason), "{reason}: {said:?}");
    }
    let said = bus.as_nobody(groups, &CAPTURE);
    assert_ne!(said.code, 0, "{said:?}");
    let reason = reason.replace("manage", "capture");
    assert!(said.err.contains(&reason), "{reason}: {said:?}");
    let said = bus.as_nobody(groups, &LIST);
    assert_eq!(said.code, 0, "{said:?}");
    assert!(said.out.contains("vm1"), "{said:?}");
    for read in [
        [
            "get-property",
            NAME,
            "/io/mdevd1/device/vm1",
            DEVICE_INTERFACE,
            "Mac",
        ]
        .as_slice(),
        &["introspect", NAME, "/io/mdevd1/device/vm1"],
        &["tree", NAME],
        &["call", NAME, ROOT, OBJECT_MANAGER, "GetManagedObjects"],
    ] {
        let said = bus.as_nobody(groups, read);
        assert_eq!(said.code, 0, "{read:?}: {said:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_polkit_root_and_one_group_write_and_all_read() {
    if !can_run() {
        return;
    }
    let (bus, house) = (Bus::start(), House::new());
    let daemon = bus.daemon(&house, &[]);
    let client = bus.client().await;
    manager(&client, "Create", &("vm1", none()))
        .await
        .expect("root may");
    reads_only(&bus, "", "no polkit on this bus");
    reads_only(&bus, "", "bus-admin-group");
    daemon.stop();

    let daemon = bus.daemon(&house, &["--bus-admin-group", "4242"]);
    reads_only(&bus, "4243", "nor in group '4242'");
    let said = bus.as_nobody("4242,4243", &DESTROY);
    assert_eq!(said.code, 0, "{said:?}");
    let said = bus.as_nobody("4242", &CREATE);
    assert_eq!(said.code, 0, "{said:?}");
    let log = daemon.stop();
    assert!(log.contains("denied: cannot create 'vm1'"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_is_given_a_pipe_to_read_frames_from() {
    if !can_run() {
        return;
    }
    let (bus, house) = (Bus::start(), House::new());
    let daemon = bus.daemon(&house, &[]);
    let client = bus.client().await;
    manager(&client, "Create", &("vm1", none()))
        .await
        .expect("root may");
    let options = HashMap::from([("seconds", Value::from(0.01)), ("drops", true.into())]);
    let pipes = [
        manager(&client, "Capture", &("vm1", &options)).await,
        call(
            &client,
            &device("vm1"),
            DEVICE_INTERFACE,
            "Capture",
            &(&options,),
        )
        .await,
    ];
    for answer in pipes {
        let answer = answer.expect("root may look");
        let pipe: OwnedFd = answer.body().deserialize().expect("a descriptor");
        drop(answer);
        let mut pipe = std::fs::File::from(std::os::fd::OwnedFd::from(pipe));
        let read = tokio::task::spawn_blocking(move || {
            let mut bytes = Vec::new();
            pipe.read_to_end(&mut bytes).map(|_| bytes)
        });
        let bytes = read.await.expect("no panic").expect("readable to its end");
        assert_eq!(bytes[..4], [0x0a, 0x0d, 0x0d, 0x0a], "a section of pcapng");
    }
    let (name, text) = refusal(manager(&client, "Capture", &("vm2", none())).await);
    assert_eq!(name, "io.mdevd1.Error.NotFound", "{text}");
    let log = daemon.stop();
    let begun = log
        .lines()
        .find(|line| line.contains("a capture has begun"));
    let begun = begun.expect("an audit line");
    assert!(begun.contains("uid 0 on the system bus (:1."), "{begun}");
}

#[tokio::test(flavor = "multi_thread")]
async fn polkit_decides_where_it_is() {
    if !can_run() {
        return;
    }
    let (bus, house) = (Bus::start(), House::new());
    let (polkit, service) = Polkit::on(&bus).await;
    // The group counts only where there is no polkit.
    let _daemon = bus.daemon(&house, &["--bus-admin-group", "4242"]);
    let client = bus.client().await;
    manager(&client, "Create", &("vm1", none()))
        .await
        .expect("root may");
    assert!(polkit.asked().is_empty(), "root is not asked about");
    reads_only(&bus, "4242", "polkit action io.mdevd1.manage");
    let asked = polkit.asked();
    assert_eq!(asked.len(), 4, "reads are not asked about: {asked:?}");
    assert_eq!(asked[3].action, "io.mdevd1.capture");
    assert_eq!(asked[0].action, "io.mdevd1.manage");
    assert_eq!(asked[0].details["device"], "vm1");
    assert_eq!(asked[0].details["method"], "Create");
    assert!(asked[0].sender.starts_with(":1."), "{asked:?}");

    polkit.answers(Answer::Yes);
    let said = bus.as_nobody("", &CREATE);
    assert_eq!(said.code, 0, "{said:?}");
    let set = [
        "call",
        NAME,
        "/io/mdevd1/device/vm1",
        DEVICE_INTERFACE,
        "Set",
        "a{sv}",
        "1",
    ];
    let set: Vec<_> = set.into_iter().chain(["link", "s", "down"]).collect();
    let said = bus.as_nobody("", &set);
    assert_eq!(said.code, 0, "{said:?}");
    assert_eq!(polkit.asked()[1].action, "io.mdevd1.change");
    // A rule about one method is about both of its names.
    let at = "/io/mdevd1/device/vm1";
    let destroy = [
        "call",
        NAME,
        at,
        DEVICE_INTERFACE,
        "DestroyAsJob",
        "a{sv}",
        "0",
    ];
    let said = bus.as_nobody("", &destroy);
    assert_eq!(said.code, 0, "{said:?}");
    assert_eq!(polkit.asked()[0].details["method"], "Destroy");

    polkit.answers(Answer::Challenge);
    let quietly: Vec<_> = ["--allow-interactive-authorization=no"]
        .into_iter()
        .chain(CREATE)
        .collect();
    let said = bus.as_nobody("", &quietly);
    assert!(
        said.err.contains("administrator would have to confirm"),
        "{said:?}"
    );
    assert!(
        said.err.contains("call with interactive authorization"),
        "{said:?}"
    );
    let said = bus.as_nobody("", &CREATE);
    assert!(said.err.contains("nobody could be asked"), "{said:?}");
    let flags: Vec<_> = polkit.asked().iter().map(|asked| asked.flags).collect();
    assert_eq!(
        flags,
        [0, 1],
        "a person is asked where the caller waits for it"
    );

    // It hangs: the caller is told, and everybody else is served meanwhile.
    polkit.answers(Answer::Never);
    let hanging = std::thread::scope(|scope| {
        let hanging = scope.spawn(|| bus.as_nobody("", &quietly));
        assert_eq!(bus.as_nobody("", &LIST).code, 0);
        hanging.join().expect("no panic")
    });
    assert!(
        hanging.err.contains("did not answer in time"),
        "{hanging:?}"
    );

    // It goes away: the group counts.
    service.close().await.expect("closed");
    let said = bus.as_nobody("4242", &CREATE);
    assert_eq!(said.code, 0, "{said:?}");
}
