"""Between ranks and their driver: nobody goes on unanswered, nobody waits for a driver that has left."""

import asyncio

from orchestrator.trial.report_actor import ReportActor


def test_a_rank_waits_for_its_answer_and_the_driver_not_for_ever():
    async def story():
        line = ReportActor()
        assert await line.hear(0.01) is None
        rank = asyncio.create_task(line.tell({"step": 1}, "p"))
        assert await line.hear(1) == ({"step": 1}, "p")
        await asyncio.sleep(0.01)
        assert not rank.done(), "Tune has not decided"
        await line.answer()
        await asyncio.wait_for(rank, 1)

    asyncio.run(story())


def test_two_ranks_that_fail_at_once_are_both_let_go():
    async def story():
        line = ReportActor()
        ranks = [asyncio.create_task(line.tell({"failed": str(k)}, "")) for k in range(2)]
        assert (await line.hear(1))[0] == {"failed": "0"}
        await line.answer()
        await line.leave()
        await asyncio.wait_for(asyncio.gather(*ranks), 1)
        await asyncio.wait_for(line.tell({"failed": "late"}, ""), 1)

    asyncio.run(story())
