use super::*;

fn refused(change: impl FnOnce(&mut PortPolicy)) -> String {
    let mut policy = PortPolicy::default();
    change(&mut policy);
    policy.check().expect_err("refused").to_string()
}

#[test]
fn what_cannot_be_is_refused() {
    assert_eq!(PortPolicy::default().check(), Ok(()));
    let network = |bits| Network {
        address: [192, 0, 2, 0].into(),
        bits,
    };
    assert_eq!(
        refused(|p| p.networks = vec![network(32), network(33)]),
        "192.0.2.0/33 is no network: give at most as many bits as the address has"
    );
    let networks = |n| vec![network(24); n];
    let mut most = PortPolicy {
        networks: networks(MAX_POLICY_NETWORKS),
        ..PortPolicy::default()
    };
    most.rates.burst = MAX_RATE_BURST;
    assert_eq!(most.check(), Ok(()));
    assert_eq!(
        refused(|p| p.networks = networks(MAX_POLICY_NETWORKS + 1)),
        "a device was to have 65 networks, the most is 64"
    );
    assert_eq!(
        refused(|p| p.rates.flood_frames = Some(0)),
        "a rate of zero for flood-frames refused: take the link down instead"
    );
    let longer = MAX_RATE_BURST + Duration::from_nanos(1);
    assert!(refused(|p| p.rates.burst = longer).starts_with("rates were to be exceeded for"));
}
