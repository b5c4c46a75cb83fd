"""Words that carry grammar and no subject, which would otherwise stand in every topic."""

_ENGLISH = """
a about above after again against all almost also although always am among an and another any anyone anything are
aren around as at away be became because been before being below between both but by came can cannot could couldn
did didn do does doesn doing don done down each either else enough etc even ever every everyone everything except
few for from further get gets getting go goes going gone got had hadn has hasn have haven having he hence her here
hers herself him himself his how however if in indeed instead into is isn it its itself just least less let like
ll made make makes many may maybe me might mine more most much must my myself near need neither never no nobody
none nor not nothing now of off often on once one only onto or other others otherwise ought our ours ourselves out
over own per perhaps quite rather re really same say says seem seems several shall she should shouldn since so some
someone something sometimes somewhat still such than that the their theirs them themselves then there therefore
these they thing things this those though through thus to together too toward towards under unless until up upon us
use used uses using ve very via want wants was wasn way we well were weren what whatever when where whether which
while who whole whom whose why will with within without won would wouldn yes yet you your yours yourself yourselves
"""
ENGLISH = frozenset(_ENGLISH.split())
