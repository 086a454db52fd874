//! Is the order fair, and is nobody lost in it?

use std::collections::VecDeque;

use proptest::prelude::*;

use super::asker::{Asker, Patience};
use super::queue::FairQueue;
use super::state_tests::asker;

fn from(caller: u64, session: u64) -> Asker {
    Asker {
        session,
        ..asker(caller)
    }
}

fn order(queue: &mut FairQueue<u32>) -> Vec<u32> {
    std::iter::from_fn(|| queue.pop(true).map(|waiter| waiter.told)).collect()
}

#[test]
fn callers_take_turns_and_so_do_the_sessions_of_a_caller() {
    let mut queue = FairQueue::default();
    for told in [10, 11, 12] {
        queue.push(&from(1, 1), told);
    }
    queue.push(&from(1, 2), 20);
    queue.push(&from(2, 1), 30);

    assert_eq!(order(&mut queue), [10, 30, 20, 11, 12]);
}

#[test]
fn what_somebody_waits_for_goes_before_what_runs_in_the_background() {
    let mut queue = FairQueue::default();
    let background = Asker {
        background: true,
        ..asker(1)
    };
    queue.push(&background, 1);
    queue.push(&asker(2), 2);
    queue.push(&asker(3), 3);

    assert_eq!(order(&mut queue), [2, 3, 1]);
}

#[test]
fn what_is_sent_again_goes_to_the_front_of_its_session_and_no_further() {
    let mut queue = FairQueue::default();
    let retry = Asker {
        retry: true,
        ..asker(2)
    };
    queue.push(&asker(1), 1);
    queue.push(&asker(2), 2);
    queue.push(&retry, 3);
    queue.push(&retry, 4);

    assert_eq!(order(&mut queue), [1, 3, 4, 2]);
}

#[test]
fn a_retry_that_must_wait_keeps_its_turn() {
    let mut queue = FairQueue::default();
    let retry = Asker {
        retry: true,
        ..asker(1)
    };
    queue.push(&retry, 1);
    queue.push(&asker(2), 2);
    queue.push(&asker(2), 3);

    assert_eq!(queue.pop(false).map(|waiter| waiter.told), Some(2));
    assert_eq!(order(&mut queue), [1, 3]);
    assert!(queue.pop(false).is_none());
}

#[derive(Clone, Debug)]
enum Step {
    Push {
        caller: u64,
        session: u64,
        background: bool,
        retry: bool,
        hurried: bool,
    },
    Pop {
        retries: bool,
    },
    Remove(prop::sample::Index),
    DismissHurried,
}

fn step() -> impl Strategy<Value = Step> {
    let push = (0..4_u64, 0..3_u64, any::<[bool; 3]>());
    prop_oneof![
        6 => push.prop_map(|(caller, session, [background, retry, hurried])| Step::Push {
            caller, session, background, retry, hurried
        }),
        4 => any::<bool>().prop_map(|retries| Step::Pop { retries }),
        2 => any::<prop::sample::Index>().prop_map(Step::Remove),
        1 => Just(Step::DismissHurried),
    ]
}

proptest! {
    #[test]
    fn nobody_is_lost_or_let_go_twice(steps in prop::collection::vec(step(), 1..200)) {
        let mut queue = FairQueue::default();
        let mut inside = Vec::new();
        for (number, step) in steps.into_iter().enumerate() {
            match step {
                Step::Push { caller, session, background, retry, hurried } => {
                    let patience = if hurried { Patience::Bypass } else { Patience::Queue };
                    let asker = Asker { session, background, retry, patience, ..asker(caller) };
                    inside.push((queue.push(&asker, number), asker, number));
                }
                Step::Pop { retries } => {
                    let may_go = inside.iter().any(|(_, asker, _)| retries || !asker.retry);
                    let popped = queue.pop(retries);
                    prop_assert_eq!(popped.is_some(), may_go);
                    if let Some(popped) = popped {
                        let at = inside.iter().position(|(_, _, number)| *number == popped.told);
                        let (_, asker, _) = inside.remove(at.unwrap());
                        let interactive = |(_, asker, _): &(_, Asker, _)| !asker.background && (retries || !asker.retry);
                        prop_assert!(!asker.background || !inside.iter().any(interactive));
                    }
                }
                Step::Remove(index) if !inside.is_empty() => {
                    let (spot, _, number) = inside.remove(index.index(inside.len()));
                    prop_assert_eq!(queue.remove(spot).map(|waiter| waiter.told), Some(number));
                    prop_assert!(queue.remove(spot).is_none());
                }
                Step::DismissHurried => {
                    let mut gone = queue.dismiss(Patience::Bypass);
                    gone.sort_unstable();
                    let leave = inside.extract_if(.., |(_, asker, _)| asker.patience == Patience::Bypass);
                    prop_assert_eq!(gone, leave.map(|(_, _, number)| number).collect::<Vec<_>>());
                }
                Step::Remove(_) => {}
            }
            prop_assert_eq!(queue.len(), inside.len());
        }
    }

    #[test]
    fn with_n_callers_nobody_waits_for_more_than_n_grants(
        others in prop::collection::vec((1..6_u64, 0..3_u64), 0..100),
    ) {
        let mut queue = FairQueue::default();
        for (caller, session) in &others {
            queue.push(&from(*caller, *session), 0);
        }
        let mine = from(9, 0);
        let ahead = queue.ahead_of(&mine);
        queue.push(&mine, 1);

        let grants = order(&mut queue).iter().position(|told| *told == 1).unwrap();

        prop_assert!(grants <= 5);
        prop_assert_eq!(grants, ahead, "what it was told");
    }

    #[test]
    fn a_session_is_served_as_it_came(sessions in prop::collection::vec((0..3_u64, 0..3_u64), 1..100)) {
        let mut queue = FairQueue::default();
        let mut came: std::collections::HashMap<_, VecDeque<_>> = std::collections::HashMap::new();
        for (number, (caller, session)) in sessions.into_iter().enumerate() {
            queue.push(&from(caller, session), (caller, session, number));
            came.entry((caller, session)).or_default().push_back(number);
        }

        while let Some(waiter) = queue.pop(true) {
            let (caller, session, number) = waiter.told;
            prop_assert_eq!(came.get_mut(&(caller, session)).unwrap().pop_front(), Some(number));
        }
    }
}
