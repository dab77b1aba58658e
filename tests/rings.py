"""What has been rung and waits in line."""

from django_q.signing import SignedPackage

from production.models import Job

Ring = tuple[str, tuple[object, ...]]


def rings(cluster: str = "") -> list[Ring]:
    """The dotted addresses and arguments, first rung first; of one cluster, or of all."""
    jobs = Job.objects.filter(cluster=cluster) if cluster else Job.objects.all()
    packages = [SignedPackage.loads(job.package) for job in jobs.order_by("pk")]
    return [(package["func"], package["args"]) for package in packages]
