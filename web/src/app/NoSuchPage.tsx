// An address that leads nowhere: what it is, and the way on.
import { Link } from "react-router";
import { useTitle } from "../components/ui/useTitle";

export function NoSuchPage() {
  useTitle("Nothing here");
  return (
    <div className="page">
      <h1>There is nothing at this address.</h1>
      <p>
        It may be mistyped. Go to a <Link to="/">new comparison</Link>, or look for what you want in the{" "}
        <Link to="/search">search</Link>.
      </p>
    </div>
  );
}
