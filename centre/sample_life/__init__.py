"""Generated life, for benchmarks and demonstrations: people, houses and appeals as a city has them, and nobody's.

Names and numbers are put together at random, the same each time for the same seed; streets, districts and subjects are
those of the database. Nothing here is to be loaded into a centre that serves.
"""

from centre.sample_life.city import House, Resident, SampleAppeal, SampleCity, houses, residents

__all__ = ["House", "Resident", "SampleAppeal", "SampleCity", "houses", "residents"]
