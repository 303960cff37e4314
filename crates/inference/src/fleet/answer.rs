//! An answer and who gave it; and the stream of one that may still go to another replica as long as nothing of
//! it has been handed out.

use std::sync::Arc;
use std::time::Instant;

use futures_util::{StreamExt as _, stream};
use tokio::time::timeout_at;

use super::dispatch::{Answered, Dispatch};
use super::member::{Member, Request};
use super::{Fleet, now};
use crate::resilience::balance::PrefixKey;
use crate::route::{Limits, Route, Target};
use crate::{Error, Event, EventStream};

/// See the module.
pub struct Answer<T> {
    /// Who answered.
    pub served_by: Target,
    /// What was answered.
    pub value: T,
}

impl<T: std::fmt::Debug> std::fmt::Debug for Answer<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Answer").field("served_by", &self.served_by).finish_non_exhaustive()
    }
}

/// Starts a stream on whoever takes it.
pub(super) async fn stream(
    fleet: &Arc<Fleet>,
    route: &Route,
    request: Request,
    key: Option<PrefixKey>,
    load: u64,
) -> Result<Answer<EventStream>, Error> {
    let mut dispatch = Dispatch::new(fleet, route, key, load);
    let answered = start(&mut dispatch, &request).await?;
    let served_by = answered.target.clone();
    // In a box, because `unfold` moves it twice for every event.
    let held = Box::new(Held { dispatch, request: Some(request), answered, over: false });
    let events = stream::unfold(held, |mut held| async move { Some((held.next().await?, held)) });
    Ok(Answer { served_by, value: Box::pin(events) })
}

async fn start(dispatch: &mut Dispatch, request: &Request) -> Result<Answered<EventStream>, Error> {
    let limits = dispatch.route.policy.limits;
    let begun = dispatch.begun;
    let hedged = dispatch.route.policy.hedge_after.is_some();
    let send = |member: Member, target: Target| async move {
        let starting = async {
            let mut events = Box::pin(member.stream(request, &target)).await?;
            if !hedged {
                return Ok(events);
            }
            // Which of two answers first is known with the first event only; progress is none.
            let mut shown = Vec::new();
            while let Some(item) = events.next().await {
                let event = item?;
                let begins = !matches!(event, Event::Progress(_));
                shown.push(Ok(event));
                if begins {
                    return Ok(Box::pin(stream::iter(shown).chain(events)) as EventStream);
                }
            }
            Err(Error::upstream(member.name(), "its answer was empty"))
        };
        within(&limits, begun, false, member.name(), starting).await?
    };
    dispatch.run(send).await
}

/// Waits for `work` as long as the route allows.
pub(super) async fn within<T>(
    limits: &Limits,
    begun: Instant,
    has_begun: bool,
    backend: &str,
    work: impl Future<Output = T>,
) -> Result<T, Error> {
    let Some((phase, after, until)) = limits.next(begun, now(), has_begun) else { return Ok(work.await) };
    let timed_out = |_| Error::Timeout { backend: backend.to_owned(), phase, after };
    timeout_at(until.into(), work).await.map_err(timed_out)
}

struct Held {
    dispatch: Dispatch,
    /// For another try; `None` once something of the answer has been handed out.
    request: Option<Request>,
    answered: Answered<EventStream>,
    over: bool,
}

impl Held {
    async fn next(&mut self) -> Option<Result<Event, Error>> {
        if self.over {
            return None;
        }
        loop {
            let limits = self.dispatch.route.policy.limits;
            let Answered { value, member, .. } = &mut self.answered;
            let item = within(&limits, self.dispatch.begun, self.request.is_none(), member.name(), value.next()).await;
            let error = match item {
                Ok(Some(Ok(event))) => {
                    // A model that is being loaded may still fail to be.
                    if self.request.is_some() && !matches!(event, Event::Progress(_)) {
                        self.request = None;
                        self.answered.ticket.answered();
                    }
                    return Some(Ok(event));
                }
                Ok(None) => {
                    self.over = true;
                    return None;
                }
                Ok(Some(Err(error))) | Err(error) => error,
            };
            self.answered.ticket.failed(&error, fastrand::f64());
            if let Err(error) = self.go_on(error).await {
                self.over = true;
                return Some(Err(error));
            }
        }
    }

    /// Begins the answer anew, when nobody has seen anything of it.
    async fn go_on(&mut self, error: Error) -> Result<(), Error> {
        let Some(request) = &self.request else { return Err(error) };
        let (place, member) = (self.answered.place, self.answered.member.clone());
        self.dispatch.may_go_on(place, &member, error).await?;
        self.answered = Box::pin(start(&mut self.dispatch, request)).await?;
        Ok(())
    }
}
