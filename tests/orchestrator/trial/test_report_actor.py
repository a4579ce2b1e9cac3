"""The queue of reports between ranks and their driver: each acknowledged, none waits for a closed one."""

import asyncio
from types import SimpleNamespace

from orchestrator.trial import report_actor
from orchestrator.trial.report_actor import ActorReporter, ReportActor


def test_a_rank_waits_for_the_acknowledgement_and_the_driver_for_a_limited_time():
    async def story():
        queue = ReportActor()
        assert await queue.receive(0.01) is None
        rank = asyncio.create_task(queue.send({"step": 1}, "p"))
        assert await queue.receive(1) == ({"step": 1}, "p")
        await asyncio.sleep(0.01)
        assert not rank.done(), "Tune has not decided"
        await queue.acknowledge()
        await asyncio.wait_for(rank, 1)

    asyncio.run(story())


def test_two_ranks_that_fail_at_once_both_continue_when_the_queue_closes():
    async def story():
        queue = ReportActor()
        ranks = [asyncio.create_task(queue.send({"reason": str(k)}, "")) for k in range(2)]
        assert (await queue.receive(1))[0] == {"reason": "0"}
        await queue.acknowledge()
        await queue.close()
        await asyncio.wait_for(asyncio.gather(*ranks), 1)
        await asyncio.wait_for(queue.send({"reason": "late"}, ""), 1)

    asyncio.run(story())


def test_a_rank_reports_through_the_actor_and_resumes_from_the_driver_s_pointer(monkeypatch):
    sent = []
    actor = SimpleNamespace(send=SimpleNamespace(remote=lambda *words: sent.append(words)))
    monkeypatch.setattr(report_actor.ray, "get", lambda answer: answer)
    reporter = ActorReporter(actor, "p/8")
    reporter.report({"step": 1}, "p/9")
    assert sent == [({"step": 1}, "p/9")] and reporter.pointer() == "p/8"
