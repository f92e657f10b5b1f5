use super::*;

const SNMP: &str = "\
Tcp: RtoAlgorithm MaxConn InErrs InCsumErrors
Tcp: 1 -1 3 2
Udp: InDatagrams InErrors
Udp: 10 0
";

#[test]
fn names_get_their_numbers() {
    let mut found = Counters::new();
    snmp(SNMP, &mut found);
    snmp6(
        "Ip6InReceives  \t7\nUdp6InErrors \t1\nnonsense\n",
        &mut found,
    );
    assert_eq!(found["Tcp.InErrs"], 3);
    assert_eq!(found["Udp.InDatagrams"], 10);
    assert_eq!(found["Ip6.InReceives"], 7);
    assert_eq!(found["Udp6.InErrors"], 1);
    assert!(!found.contains_key("Tcp.MaxConn"), "a negative number");
}

#[test]
fn only_what_went_up_is_told() {
    let mut before = Counters::new();
    snmp(SNMP, &mut before);
    let mut after = before.clone();
    after.insert("Tcp.InErrs".into(), 5);
    assert_eq!(
        risen(&before, &after),
        Counters::from([("Tcp.InErrs".into(), 2)])
    );
}
