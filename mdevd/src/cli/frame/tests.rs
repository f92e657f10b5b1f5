use super::*;

const FRAME: [u8; 14] = [2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0];

fn packet(bytes: &[u8]) -> Packet<'_> {
    Packet {
        time: 1_000_000_002_345_678,
        len: 60,
        bytes,
        out: Some(true),
        ..Packet::default()
    }
}

#[test]
fn a_line_has_what_one_looks_for() {
    assert_eq!(
        line(&packet(&FRAME)),
        "1970-01-12T13:46:40.002345Z out    60 02:00:00:00:00:01 > 02:00:00:00:00:02 0x0800 IPv4\n"
    );
    let mut tagged = FRAME.to_vec();
    tagged.splice(12..12, [0x88, 0xa8, 0, 5, 0x81, 0, 0xe0, 7]);
    let tagged = Packet {
        out: Some(false),
        dropped: Some("vlan"),
        lost: 3,
        ..packet(&tagged)
    };
    assert_eq!(
        line(&tagged),
        "1970-01-12T13:46:40.002345Z 3 frames lost here\n1970-01-12T13:46:40.002345Z in     60 \
         02:00:00:00:00:01 > 02:00:00:00:00:02 vlan 5 vlan 7 0x0800 IPv4 dropped: vlan\n"
    );
    let object = json(&tagged);
    assert_eq!(object["vlans"], json!([5, 7]));
    assert_eq!(object["direction"], "in");
    assert_eq!(object["dropped"], "vlan");
    assert_eq!(object["lost_before"], 3);
}

#[test]
fn what_is_cut_anywhere_is_told_as_far_as_it_goes() {
    let mut tagged = FRAME.to_vec();
    tagged.splice(12..12, [0x81, 0, 0, 7]);
    for len in 0..=tagged.len() {
        let packet = packet(&tagged[..len]);
        let (line, json) = (line(&packet), json(&packet));
        assert_eq!(line.contains('>'), len >= 12, "{line}");
        assert_eq!(json.get("ethertype").is_some(), len >= 18, "{len}: {json}");
    }
}
