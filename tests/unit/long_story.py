"""A lane's story with thousands of messages: not recounted after each fact, which takes as long as there are messages."""

from lane import fold
from schemas.facts import LaneFact
from tests.unit.lane_story import Findings, Story


class LongStory(Story):
    """`Story` without the recount: other tests show that the counts are true."""

    def say(self, fact: LaneFact) -> Findings:
        """Append any fact."""
        self.position += 1
        self.log.append((self.position, fact))
        return fold.apply(self.state, self.position, fact)
