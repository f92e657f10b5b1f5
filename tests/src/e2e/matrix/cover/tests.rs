use super::*;

const SHAPES: [&[usize]; 5] = [&[2, 2], &[3, 1, 4], &[10, 5, 6, 3, 3, 3, 4], &[2; 8], &[7]];

/// Looks for a pair, by brute force, independently of how the search keeps account.
fn has(rows: &[Vec<usize>], wanted: &[(usize, usize)]) -> bool {
    rows.iter()
        .any(|row| wanted.iter().all(|&(d, v)| row[d] == v))
}

#[test]
fn every_pair_stands_together_and_every_value_occurs() {
    for levels in SHAPES {
        let found = rows(levels, 2);
        for (one, &ones) in levels.iter().enumerate() {
            for value in 0..ones {
                assert!(has(&found, &[(one, value)]));
                for (two, &twos) in levels.iter().enumerate().skip(one + 1) {
                    for other in 0..twos {
                        assert!(has(&found, &[(one, value), (two, other)]), "{levels:?}");
                    }
                }
            }
        }
        for row in &found {
            assert_eq!(row.len(), levels.len());
            assert!(row.iter().zip(levels).all(|(value, of)| value < of));
        }
    }
}

#[test]
fn triples_are_covered_where_they_are_asked_for() {
    let levels = [4, 3, 3, 2];
    let found = rows(&levels, 3);
    for a in 0..4 {
        for b in 0..3 {
            for d in 0..2 {
                assert!(has(&found, &[(0, a), (1, b), (3, d)]));
            }
        }
    }
    assert!(found.len() < product(&levels).len());
}

#[test]
fn pairs_need_far_fewer_rows_than_the_product() {
    let levels = SHAPES[2];
    let found = rows(levels, 2);
    // Never fewer than the largest pair of dimensions has combinations; greedy comes close.
    assert!((60..=75).contains(&found.len()), "{}", found.len());
    assert_eq!(product(levels).len(), 32_400);
    assert_eq!(found, rows(levels, 2), "the same every time");
}
