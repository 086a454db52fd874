//! Is the budget never overdrawn, never lost, and fair to those who wait?

use proptest::prelude::*;

use super::*;

const NOW: Duration = Duration::ZERO;
const LONG: Duration = Duration::from_secs(3600);

#[tokio::test]
async fn a_share_is_given_back_when_dropped() {
    let budget = Budget::new(4 * KIB);

    let share = budget.reserve(3 * KIB, NOW).await.unwrap();
    assert_eq!(budget.in_use(), 3 * KIB);
    assert_eq!(budget.reserve(2 * KIB, NOW).await.unwrap_err(), Full);
    drop(share);

    assert_eq!(budget.in_use(), 0);
    assert!(budget.reserve(4 * KIB, NOW).await.is_ok());
}

#[tokio::test]
async fn who_has_a_part_takes_no_more_than_that_of_the_room() {
    let budget = Budget::new(4 * KIB);
    let part = budget.part(2 * KIB);

    let mut share = part.reserve(KIB, NOW).await.unwrap();
    assert_eq!(part.reserve(2 * KIB, NOW).await.unwrap_err(), Full);
    share.grow(KIB, NOW).await.unwrap();
    assert_eq!(share.grow(KIB, LONG).await, Err(Full), "there never is");
    let rest = budget.reserve(2 * KIB, NOW).await.unwrap();
    share.shrink_to(KIB);
    assert_eq!(budget.in_use(), 3 * KIB);
    let others = budget.reserve(KIB, NOW).await.unwrap();
    assert_eq!(part.reserve(KIB, NOW).await.unwrap_err(), Full);
    drop((rest, others));

    assert!(
        part.reserve(KIB, NOW).await.is_ok(),
        "nothing of it was lost"
    );
    assert_eq!(budget.in_use(), KIB);
    drop(share);
    assert_eq!(part.reserve(2 * KIB, NOW).await.unwrap().bytes(), 2 * KIB);
}

#[tokio::test]
async fn a_share_is_rounded_up_and_nothing_costs_nothing() {
    let budget = Budget::new(4 * KIB);

    let small = budget.reserve(1, NOW).await.unwrap();
    let nothing = budget.reserve(0, NOW).await.unwrap();

    assert_eq!((small.bytes(), nothing.bytes()), (KIB, 0));
    assert_eq!(budget.in_use(), KIB);
}

#[tokio::test]
async fn a_body_larger_than_the_budget_does_not_wait() {
    let budget = Budget::new(4 * KIB);

    assert_eq!(budget.reserve(4 * KIB + 1, LONG).await.unwrap_err(), Full);
    assert_eq!(budget.reserve(usize::MAX, LONG).await.unwrap_err(), Full);
}

#[tokio::test]
async fn a_share_grows_and_shrinks_with_its_body() {
    let budget = Budget::new(8 * KIB);
    let mut share = budget.reserve(2 * KIB, NOW).await.unwrap();

    share.grow(3 * KIB, NOW).await.unwrap();
    assert_eq!((share.bytes(), budget.in_use()), (5 * KIB, 5 * KIB));
    assert_eq!(share.grow(4 * KIB, NOW).await, Err(Full));
    assert_eq!(share.bytes(), 5 * KIB, "a failed growth costs nothing");

    share.shrink_to(KIB + 1);
    assert_eq!((share.bytes(), budget.in_use()), (2 * KIB, 2 * KIB));
    share.shrink_to(7 * KIB);
    assert_eq!(share.bytes(), 2 * KIB, "it does not grow by shrinking");
    share.shrink_to(0);
    share.grow(8 * KIB, NOW).await.unwrap();
    drop(share);
    assert_eq!(budget.in_use(), 0);
}

#[tokio::test(start_paused = true)]
async fn who_waits_longest_is_served_first_and_a_small_one_does_not_overtake() {
    let budget = Arc::new(Budget::new(4 * KIB));
    let first = budget.reserve(3 * KIB, NOW).await.unwrap();
    let (order, mut served) = tokio::sync::mpsc::unbounded_channel();
    for (name, bytes) in [("large", 4 * KIB), ("small", KIB)] {
        let (budget, order) = (Arc::clone(&budget), order.clone());
        tokio::spawn(async move {
            let share = budget.reserve(bytes, LONG).await;
            order.send(name).unwrap();
            drop(share);
        });
        tokio::task::yield_now().await;
    }

    drop(first);

    assert_eq!(served.recv().await, Some("large"));
    assert_eq!(served.recv().await, Some("small"));
}

#[tokio::test(start_paused = true)]
async fn patience_ends_and_one_who_left_holds_up_nobody() {
    let budget = Arc::new(Budget::new(2 * KIB));
    let held = budget.reserve(KIB, NOW).await.unwrap();

    let begun = tokio::time::Instant::now();
    let refused = budget.reserve(2 * KIB, Duration::from_secs(2)).await;

    assert_eq!(refused.unwrap_err(), Full);
    assert_eq!(begun.elapsed(), Duration::from_secs(2));
    assert!(
        budget.reserve(KIB, NOW).await.is_ok(),
        "its place in the line is gone"
    );
    drop(held);
    assert_eq!(budget.in_use(), 0);
}

#[derive(Clone, Debug)]
enum Deed {
    Reserve(usize),
    Grow(usize, usize),
    Shrink(usize, usize),
    Drop(usize),
}

fn deed() -> impl Strategy<Value = Deed> {
    let bytes = 0..6 * KIB;
    prop_oneof![
        bytes.clone().prop_map(Deed::Reserve),
        (0..8_usize, bytes.clone()).prop_map(|(who, bytes)| Deed::Grow(who, bytes)),
        (0..8_usize, bytes).prop_map(|(who, bytes)| Deed::Shrink(who, bytes)),
        (0..8_usize).prop_map(Deed::Drop),
    ]
}

proptest! {
    #[test]
    fn the_books_balance_after_any_deeds(deeds in prop::collection::vec(deed(), 0..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let budget = Budget::new(16 * KIB);
            let mut shares: Vec<Share> = Vec::new();
            for deed in deeds {
                match deed {
                    Deed::Reserve(bytes) => shares.extend(budget.reserve(bytes, NOW).await),
                    Deed::Grow(who, bytes) => if let Some(share) = shares.get_mut(who) {
                        let _ = share.grow(bytes, NOW).await;
                    },
                    Deed::Shrink(who, bytes) => if let Some(share) = shares.get_mut(who) {
                        share.shrink_to(bytes);
                    },
                    Deed::Drop(who) => if who < shares.len() {
                        drop(shares.remove(who));
                    },
                }
                let held: usize = shares.iter().map(Share::bytes).sum();
                assert_eq!(budget.in_use(), held);
                assert!(held <= 16 * KIB);
            }
        });
    }
}
